"""The site's pages as they are staged; Sphinx itself runs in ``make site``."""

import re
import shutil

import build_notebooks
import build_site as tool
import chromium
import nbformat
import pytest
from sittings import ROOT, tags

CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
each_chapter = pytest.mark.parametrize(
    "path", CHAPTERS, ids=[path.stem for path in CHAPTERS]
)


def markdown(source, *kinds):
    cell = nbformat.v4.new_markdown_cell(source)
    cell.metadata["tags"] = list(kinds)
    return cell


def code(source, *kinds):
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata["tags"] = list(kinds)
    return cell


def picture():
    output = nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    output.metadata["image/png"] = {"width": 300}
    cell = code("plt.show()")
    cell.outputs = [output]
    return cell


@pytest.mark.parametrize(
    "target, expected",
    [
        ("https://keras.io", "https://keras.io"),
        ("#exercises", "#exercises"),
        ("02a_autoencoders.ipynb", "../chapters/02a_autoencoders.ipynb"),
        ("../docs/errata.md#e10", "../docs/errata.md#e10"),
        (
            "../solutions/02a_autoencoders.ipynb",
            "../chapters/02a_autoencoders.ipynb#exercises",
        ),
        (
            "../utils/models/vaes.py",
            f"{tool.REPOSITORY}/blob/main/utils/models/vaes.py",
        ),
        ("../tests", f"{tool.REPOSITORY}/tree/main/tests"),
    ],
)
def test_link_of_a_chapter_leads_to_a_page_or_to_the_repository(
    target, expected
):
    assert tool.page_link(target, "chapters") == expected


def test_link_in_code_is_left_alone():
    text = "see `[a](b.py)` and [c](../README.md)"
    turned = tool.with_page_links(text, "docs")
    assert turned == (
        f"see `[a](b.py)` and [c]({tool.REPOSITORY}/blob/main/README.md)"
    )


def test_tagged_equation_gets_an_environment_and_others_stay():
    text = "$$a\\\\b\\tag{3}$$ and $$c$$ and $d$"
    assert tool.with_tagged_equations(text) == (
        "\\begin{gather*}a\\\\b\\tag{3}\\end{gather*} and $$c$$ and $d$"
    )


def test_table_without_a_head_gets_one():
    text = "| | |\n|---|---|\n| Data | digits |"
    assert tool.prose(text, "chapters") == (
        "| at a glance | this sitting |\n|---|---|\n| Data | digits |"
    )


def test_broken_links_are_named_and_good_ones_counted(tmp_path):
    (tmp_path / "b.html").write_text('<p id="here">', encoding="utf-8")
    links = ["b.html", "b.html#here", "#", "https://keras.io", "c.html"]
    links += ["b.html#here?state=1", "b.html#gone", "b%2ehtml"]
    text = "".join(f'<a href="{link}">' for link in links)
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    messages, count = tool.broken_links(tmp_path)
    assert messages == ["a.html: c.html", "a.html: b.html#gone"]
    assert count == 7


def test_what_a_page_would_load_from_another_host_is_named(tmp_path):
    text = '<a href="https://keras.io"><link rel="canonical" href="//a.b/">'
    text += '<script src="https://a.b/c.js"></script><img src="here.png">'
    text += '<link rel="stylesheet" href="https://a.b/c.css">'
    (tmp_path / "here.png").touch()
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    messages, _ = tool.broken_links(tmp_path)
    assert messages == [
        "a.html loads https://a.b/c.js",
        "a.html loads https://a.b/c.css",
    ]


def test_sliders_of_a_running_notebook_stay_out_of_the_page():
    chapter, solutions = sitting()
    view = {
        "application/vnd.jupyter.widget-view+json": {},
        "text/plain": "HBox",
    }
    shown = nbformat.v4.new_output("execute_result", view)
    printed = nbformat.v4.new_output("stream", text="two")
    chapter.cells[0].outputs = [shown, printed]
    chapter.metadata["widgets"] = {"state": {}}
    page = tool.staged_chapter(chapter, solutions)
    assert page.cells[0].outputs == [printed]
    assert "widgets" not in page.metadata
    assert chapter.cells[0].outputs == [shown, printed]  # as it was


def sitting():
    head = "### Exercise 9.1 · Two\n\nAdd."
    chapter = [
        code("import keras", "setup"),
        markdown(head, "exercise"),
        code("answer = None", "exercise"),
        code("checks.check_9_1(answer)", "check"),
    ]
    solution = [
        markdown("# Solutions"),
        markdown(head, "exercise"),
        code(
            "answer = None\n### BEGIN SOLUTION\nanswer = 2\n### END SOLUTION",
            "exercise",
        ),
        code("checks.check_9_1(answer)", "check"),
        markdown("Since one and one are two.", "discussion"),
    ]
    return [
        nbformat.v4.new_notebook(cells=cells) for cells in (chapter, solution)
    ]


def test_staged_exercise_is_boxed_and_its_answer_folded_below_its_check():
    page = tool.staged_chapter(*sitting())
    setup, box, stub, check, answer = page.cells
    assert "hide-input" in tags(setup)
    assert box.source.startswith("(exercise-9-1)=\n::::{admonition} Exercise")
    assert stub.source == "answer = None" and "check" in tags(check)
    assert "{dropdown}" in answer.source and "answer = 2" in answer.source
    assert "SOLUTION" not in answer.source
    assert "one and one" in answer.source


def test_answer_without_an_exercise_is_an_error():
    chapter, solutions = sitting()
    del chapter.cells[1:]
    with pytest.raises(ValueError, match=r"9\.1"):
        tool.staged_chapter(chapter, solutions)


def test_picture_gets_its_caption_in_words():
    caption = markdown(
        "**Figure 9.1.** A [map](a.md) of $x$, **in two**.\n\nMore"
    )
    notebook = nbformat.v4.new_notebook(cells=[picture(), caption])
    assert build_notebooks.describe_figures(notebook) == []
    words = "Figure 9.1. A map of x, in two."
    metadata = notebook.cells[0].outputs[0].metadata["image/png"]
    assert metadata == {"width": 300, "alt": words}
    assert notebook.cells[0].metadata["mystnb"]["image"]["alt"] == words


def test_picture_without_a_caption_is_named():
    notebook = nbformat.v4.new_notebook(cells=[picture(), markdown("Text.")])
    assert build_notebooks.describe_figures(notebook) == [0]


def test_pictures_above_two_captions_get_one_each():
    captions = markdown("Seen.\n\n**Figure 9.1.** One.\n**Figure 9.2.** Two.")
    notebook = nbformat.v4.new_notebook(cells=[picture(), picture(), captions])
    assert build_notebooks.describe_figures(notebook) == []
    described = [
        c.metadata["mystnb"]["image"]["alt"] for c in notebook.cells[:2]
    ]
    assert described == ["Figure 9.1. One.", "Figure 9.2. Two."]


@pytest.mark.parametrize("end", ["", "As Li et al. 2024, e.g. by " + "x" * 300])
def test_long_caption_ends_with_a_sentence(end):
    words = build_notebooks.in_words("One sentence here. " * 10 + end * 2)
    words = words if end else build_notebooks.in_words("Here it is. " * 40)
    assert len(words) <= build_notebooks.LONGEST
    assert words.endswith(("sentence here.", "Here it is."))


@each_chapter
def test_no_two_figures_of_a_chapter_share_a_description(path):
    notebook = nbformat.read(path, 4)
    described = [
        cell.metadata["mystnb"]["image"]["alt"]
        for cell in notebook.cells
        if "mystnb" in cell.metadata
    ]
    assert len(set(described)) == len(described)


@each_chapter
def test_every_picture_of_the_course_is_described(path):
    notebook = nbformat.read(path, 4)
    committed = [
        output.metadata.get("image/png", {}).get("alt")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert all(committed), "rebuild the notebook: no alternative text"
    assert build_notebooks.describe_figures(notebook) == []


@each_chapter
def test_every_exercise_of_the_course_is_boxed_with_an_answer(path):
    chapter = nbformat.read(path, 4)
    solutions = nbformat.read(ROOT / "solutions" / path.name, 4)
    page = tool.staged_chapter(chapter, solutions)
    text = "\n".join(cell.source for cell in page.cells)
    boxes = re.findall(r"^\(exercise-.+\)=$", text, re.M)
    assert len(boxes) == text.count(":icon: light-bulb") > 0
    assert len(set(boxes)) == len(boxes)
    assert "](../solutions/" not in text


def test_pages_say_of_an_element_what_is_written_on_it():
    page = (
        '<summary aria-label="Toggle hidden content">Show</summary>'
        '<button class="btn search-button-field" title="Search" '
        'aria-label="Search"></button><button aria-label="Search"></button>'
        '<div id="pst-primary-sidebar" class="bd-sidebar-primary">'
    )
    assert tool.mended(page) == (
        "<summary>Show</summary>"
        '<button class="btn search-button-field" title="Search"></button>'
        '<button aria-label="Search"></button>'
        '<div id="pst-primary-sidebar" role="region" aria-label="The course" '
        'class="bd-sidebar-primary">'
    )


def test_empty_head_of_a_table_is_no_head():
    page = '<th class="head"><p></p></th><th class="head"><p>k</p></th>'
    assert tool.mended(page) == (
        '<td class="head"><p></p></td><th class="head"><p>k</p></th>'
    )


def test_icons_that_no_page_names_go():
    script = (
        'x={sun:[512,512,[9680,"day"],"f185","M1 2z"],'
        '"arrow-up":[384,512,[8593],"f062",["","M3z"]],'
        'moon:[384,512,[],"f186","M4z"]}'
    )
    assert tool.with_used_icons(script, {"day", "moon"}) == (
        'x={sun:[512,512,[9680,"day"],"f185","M1 2z"],'
        'moon:[384,512,[],"f186","M4z"]}'
    )


def test_map_of_sittings_tells_needs_and_time_of_each():
    lines = tool.map_of_sittings().splitlines()[2:]
    assert len(lines) == len(CHAPTERS)
    for line, path in zip(lines, CHAPTERS, strict=True):
        assert f"](chapters/{path.stem}.ipynb) |" in line
        assert re.search("minute|hour|second", line.rpartition(" | ")[2])
    assert "[3a](" in next(line for line in lines if line.startswith("| [3b]"))


def test_glossary_has_each_term_once_and_in_order():
    text = (ROOT / "site" / "glossary.md").read_text("utf-8")
    row = r"^\| ([^|]+) \| ([^|]+) \| \[\w+\]\(chapters/(\w+)\.ipynb\) \|$"
    rows = re.findall(row, text, re.M)
    assert len(rows) == text.count("\n| ") - 1 > 80
    terms = [term.lower() for term, *_ in rows]
    assert terms == sorted(set(terms))
    assert {stem for *_, stem in rows} <= {path.stem for path in CHAPTERS}
    assert all(
        re.search("[\u4e00-\u9fff]|K-means", form) for _, form, _ in rows
    )


@pytest.mark.parametrize("stem", sorted(tool.PLAYS))
def test_sitting_invites_to_a_widget_that_is_there(stem):
    assert len([path for path in CHAPTERS if path.stem.startswith(stem)]) == 1
    page = (ROOT / "site" / "playground.md").read_text("utf-8")
    state, words = tool.PLAYS[stem]
    assert f'id="{state.partition("?")[0]}"' in page
    chapter, solutions = sitting()
    first, second, *_ = tool.staged_chapter(chapter, solutions, stem).cells
    assert "hide-input" in tags(first) and words in second.source


@pytest.mark.skipif(
    chromium.find() is None, reason="no Chromium on this machine"
)
def test_errata_are_filtered_by_article_and_category(tmp_path):
    text = (ROOT / "docs" / "errata.md").read_text("utf-8")
    sections = []
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        heads = re.findall(r"^- \*\*(E\d+)\*\* · (.+)$", section, re.M)
        items = "".join(
            f"<li><p>{number} · {rest}</p>\n<ul><li>Fault: of 004</li></ul>"
            for number, rest in heads
        )
        sections.append(f"<section><ul>{items}</ul></section>")
    script = (ROOT / "site" / "_static" / "course.js").as_uri()
    page = tmp_path / "errata.html"
    body = "".join(sections)
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><script src="{script}"></script>'
        f'<article class="bd-article"><section>{body}</section></article>',
        "utf-8",
    )
    heads = re.findall(r"^- \*\*E\d+\*\* · (.+)$", text, re.M)
    of_003 = [h for h in heads if "003" in h]
    silent = [h for h in of_003 if h.endswith("silent")]
    assert 0 < len(silent) < len(of_003) < len(heads)
    choose = (
        "((i, value) => { const s = document.querySelectorAll('select')[i];"
        "s.value = value; s.onchange(); return "
        "document.querySelector('[role=status]').textContent; })"
    )
    shown = "[...document.querySelectorAll('li > p')].filter("
    shown += "(p) => p.offsetParent).length"
    with chromium.Page() as opened:
        opened.visit(page.as_uri())
        total = len(heads)
        assert opened.ask(f"{choose}(0, '003')") == (
            f"{len(of_003)} of {total} entries"
        )
        assert opened.ask(shown) == len(of_003)
        assert opened.ask(f"{choose}(1, 'silent')") == (
            f"{len(silent)} of {total} entries"
        )
        opened.ask(f"{choose}(0, 'all')")
        opened.ask(f"{choose}(1, 'all')")
        assert opened.ask(shown) == total


NOTE = """# A page

A sentence to translate.

```{raw} html
<p>no message</p>
```
"""
INDEX = "# Home\n\n```{toctree}\nglossary\nchapters/one\nnote\n```\n"


def test_messages_are_extracted_of_pages_and_notebooks(tmp_path, monkeypatch):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_nb")
    staged, messages = tmp_path / "build" / "staged", tmp_path / "messages"
    for name in ("chapters", "_static"):
        (staged / name).mkdir(parents=True)
    for name in ("conf.py", "glossary.md"):
        shutil.copy(ROOT / "site" / name, staged / name)
    glossary = (staged / "glossary.md").read_text("utf-8")
    plain = re.sub(r"\[(\w+)\]\(chapters/.+?\)", r"\1", glossary)
    (staged / "glossary.md").write_text(plain, "utf-8")
    (staged / "index.md").write_text(INDEX, "utf-8")
    (staged / "note.md").write_text(NOTE, "utf-8")
    cells = [markdown("# One\n\nIn a notebook."), code("a = 1")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, staged / "chapters" / "one.ipynb")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tools"))
    assert tool.sphinx("gettext", staged, messages) == 0
    assert tool.pages_without_messages(staged, messages) == []
    note = (messages / "note.pot").read_text("utf-8")
    assert 'msgid "A sentence to translate."' in note
    assert "In a notebook." in (messages / "chapters/one.pot").read_text()
    (messages / "note.pot").unlink()
    assert tool.pages_without_messages(staged, messages) == ["note"]


def test_home_page_names_every_sitting_once():
    page = tool.home((ROOT / "site" / "index.md").read_text("utf-8"))
    for path in CHAPTERS:
        assert page.count(f"\nchapters/{path.stem}\n") == 1
    assert "<!--" not in page


def test_every_document_is_a_page_of_the_site():
    stems = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert stems == set(tool.PAGES)
    index = (ROOT / "site" / "index.md").read_text("utf-8")
    assert all(f"\ndocs/{stem}\n" in index for stem in stems)
