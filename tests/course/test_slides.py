"""Slides: by which rule, that nothing is lost, and that they fit."""

import importlib.util
import re

import build_slides as tool
import nbformat
import pytest
from sittings import ROOT, sources

STEMS = [path.stem for path in sources()]
DECK = "04a_from_bound_to_model"  # formulas, figures, tables


def chapter(stem):
    return nbformat.read(ROOT / "chapters" / f"{stem}.ipynb", 4)


def markdown(source, *kinds):
    cell = nbformat.v4.new_markdown_cell(source)
    cell.metadata["tags"] = list(kinds)
    return cell


def code(source, *kinds, text="", picture=False):
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata["tags"] = list(kinds)
    if text:
        cell.outputs.append(nbformat.v4.new_output("stream", text=text))
    if picture:
        data = {"image/png": "aGVsbG8="}
        output = nbformat.v4.new_output("display_data", data)
        output.metadata["image/png"] = {"alt": 'a "map"'}
        cell.outputs.append(output)
    return cell


def deck(*cells):
    start = markdown("# Chapter 99 · Sums\n\nA promise. More.\n\nAnd more.")
    return tool.slides_of(nbformat.v4.new_notebook(cells=[start, *cells]))


def test_title_has_the_promise_and_notes_the_rest():
    (title,) = deck()
    assert (title.kind, title.title) == ("title", "Chapter 99 · Sums")
    assert title.body == "A promise. More."
    assert title.notes == ["And more."]


def test_formula_stands_with_the_sentence_before_it():
    text = "## 1. Two\nFirst. The sum of $a.b$ and other parts is\n$$c.$$\n."
    section, formula = deck(markdown(text))[1:]
    assert section.title == "1. Two"
    assert formula.kind == "formula"
    assert formula.body == ("The sum of $a.b$ and other parts is\n\n$$c.$$")


def test_figure_stands_with_the_first_sentences_of_its_caption():
    caption = (
        "**Figure 9.1.** One [point](b.ipynb). Two. Three.\n\nRead on.\n"
        "\n## 2. Next\n\nA start."
    )
    figure, after = deck(code("plot()", picture=True), markdown(caption))[1:]
    assert figure.kind == "figure"
    assert figure.body.endswith(">\n\nOne point. Two.")
    assert 'alt="a &quot;map&quot;"' in figure.body
    assert figure.notes[0].endswith("Two. Three.")
    assert "Read on." in figure.notes
    assert (after.kind, after.body) == ("section", "A start.")


def test_long_lists_are_cut_into_equal_slides():
    text = "**We will show**\n\n" + "\n".join(f"- point {i}" for i in range(7))
    slides = deck(markdown(text))[1:]
    assert [slide.body.count("- ") for slide in slides] == [4, 3]


def test_exercises_are_one_list_and_checks_are_none():
    cells = [
        markdown("## Exercises"),
        markdown("### Exercise 9.1 · Two\nWhat?", "exercise"),
        code("x = None", "exercise"),
        code("checks.check_9_1(x)", "check", text="record(1)"),
    ]
    (slide,) = deck(*cells)[1:]
    assert slide.body == "- **9.1** Two"


def test_marks_overrule_the_rule():
    cells = [
        code("print(1)", text="1\n2\n3\n"),
        code("print(1)", "slide", text="said: 3 of 5\n4\n5\n"),
        markdown("Told.", "no-slide"),
        markdown("Shown.", "slide"),
    ]
    title, printed, shown = deck(*cells)
    assert printed.body == "said: 3 of 5\n\n<pre>4\n5</pre>"
    assert shown.body == "Shown."
    assert "Told." not in title.notes


def test_a_long_deck_keeps_what_matters():
    cells = [markdown(f"## {i}.\n\n$$a_{i}$$") for i in range(30)]
    slides = deck(*cells)
    assert len(slides) == tool.MOST
    kinds = [slide.kind for slide in slides]
    assert kinds.count("section") == 30
    assert any("$$a_29$$" in note for note in slides[-1].notes)


@pytest.mark.parametrize("stem", STEMS)
def test_every_sitting_is_a_deck(stem):
    notebook = chapter(stem)
    slides = tool.slides_of(notebook)
    assert 10 <= len(slides) <= tool.MOST
    assert slides[0].kind == "title"
    pictures = sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    kinds = [slide.kind for slide in slides]
    assert kinds.count("figure") == pictures > 0
    assert slides[-1].title == "Exercises"


def words(text):
    return re.findall(r"\w+", tool.plain(text))


def test_no_prose_is_lost_between_slides_and_notes():
    told = set()
    for slide in tool.slides_of(chapter(DECK)):
        for text in (slide.title, slide.body, *slide.notes):
            told |= set(words(text))
    prose = [
        cell.source
        for cell in chapter(DECK).cells
        if cell.cell_type == "markdown"
        and "exercise" not in cell.metadata.get("tags", ())
        and not cell.source.startswith("**Figure")
    ]
    missing = [word for text in prose for word in words(text)]
    missing = set(missing) - told - {"References", "Exercises"}
    assert missing == set()


def test_page_names_no_other_host_and_keeps_mathematics():
    page = tool.page(tool.slides_of(chapter(DECK)))
    assert re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page) == [
        "reveal/dist/reset.css",
        "reveal/dist/reveal.css",
        "reveal/white.css",
        "mathjax/tex-svg.js",
        "reveal/dist/reveal.js",
        "reveal/plugin/notes/notes.js",
    ]
    assert r"p_\theta(x\mid z)" in page
    assert page.count("<section") == page.count("</section>")


@pytest.mark.skipif(
    tool.browser() is None
    or not all(
        importlib.util.find_spec(name)
        for name in ("sphinx_revealjs", "sphinx-mathjax-offline")
    ),
    reason="needs Chromium and the packages of make slides",
)
def test_every_slide_of_a_deck_fits_and_asks_nobody(tmp_path):
    tool.write_decks(DECK, tmp_path)
    path = tmp_path / f"{DECK}.html"
    assert tool.faults(path) == []
    measured = tool.measure(path)["slides"]
    assert 100 < max(height for height, *_ in measured) <= tool.TALLEST
    # the ruler sees what is too tall
    tall = path.read_text("utf-8").replace(
        '<div class="idea">', '<div class="idea" style="height:731px">', 1
    )
    path.write_text(tall, "utf-8")
    assert "pixels tall" in tool.faults(path)[0]
