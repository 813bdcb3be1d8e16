"""The notebook builder on a tiny source: what goes where, and drift."""

import re
import shutil
import sys

import build_notebooks as tool
import check_pythons
import nbformat
import pytest
import results_page
from nbclient.exceptions import CellExecutionError
from test_notebooks import ROOT

SOURCE = '''\
# %% [markdown]
# # Chapter 9 · Sums
#
# We will show
#
# - that sums add up

# %% tags=["setup"]
base = 40

# %% [markdown]
# ## 1. A sum

# %% tags=["nbval-ignore-output"]
total = base + 1
print("total", total)

# %%
assert total == 41
assert total > base

# %% [markdown] tags=["exercise"]
# ### Exercise 9.1 · Add
#
# Return the sum.

# %% tags=["exercise"]
def add(a, b):
    """Return a + b."""
    ### BEGIN SOLUTION
    secret = a + b
    return secret
    ### END SOLUTION

# %% tags=["check"]
assert add(base, 2) == 42
### BEGIN HIDDEN TESTS
assert add(-1, 1) == 0
### END HIDDEN TESTS

# %% [markdown] tags=["discussion"]
# Why this is right.
'''


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A tiny course of its own, with the tool pointed at it."""
    (tmp_path / "source").mkdir()
    for kind in tool.KINDS:
        (tmp_path / kind).mkdir()
    (tmp_path / "source" / "09_sums.py").write_text(SOURCE, "utf-8")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def built(root):
    return tool.build(root / "source" / "09_sums.py")


def text(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells)


def with_tag(notebook, tag, cell_type="code"):
    return [
        cell
        for cell in notebook.cells
        if tag in tool.tags(cell) and cell.cell_type == cell_type
    ]


def test_build_chapter_has_the_stub_and_not_the_answer(built):
    (stub,) = with_tag(built["chapters"], "exercise")
    assert "raise NotImplementedError" in stub.source
    assert '"""Return a + b."""' in stub.source
    whole = nbformat.writes(built["chapters"])
    for word in ("secret", "SOLUTION", "HIDDEN", "add(-1, 1)"):
        assert word not in whole


def test_build_chapter_stub_is_valid_python_that_raises(built):
    (stub,) = with_tag(built["chapters"], "exercise")
    space = {}
    exec(stub.source, space)
    with pytest.raises(NotImplementedError):
        space["add"](1, 2)


def test_build_solutions_have_answer_check_and_discussion(built):
    (answer,) = with_tag(built["solutions"], "exercise")
    assert "secret = a + b" in answer.source
    (check,) = with_tag(built["solutions"], "check")
    assert "add(-1, 1)" in check.source
    assert with_tag(built["solutions"], "discussion", "markdown")


def test_build_discussion_is_in_the_solutions_alone(built):
    assert "Why this is right" in text(built["solutions"])
    assert "Why this is right" not in text(built["chapters"])


def test_build_setup_cells_are_in_both(built):
    for notebook in built.values():
        assert [c.source for c in with_tag(notebook, "setup")] == ["base = 40"]


def test_build_chapter_text_is_not_in_the_solutions(built):
    assert "A sum" in text(built["chapters"])
    assert "A sum" not in text(built["solutions"])
    assert "total" not in text(built["solutions"])


def test_build_solutions_title_names_and_links_the_chapter(built):
    first = built["solutions"].cells[0].source
    assert first.startswith("# Solutions · Chapter 9 · Sums\n")
    assert "(../chapters/09_sums.ipynb)" in first


def test_build_chapter_exercises_are_skipped_by_all_runners(built):
    skip = {"skip-execution", "nbval-skip"}
    for cell in built["chapters"].cells:
        exercise = tool.tags(cell) & {"exercise", "check"}
        if cell.cell_type == "code":
            assert (skip <= tool.tags(cell)) == bool(exercise)
    for cell in built["solutions"].cells:
        assert not skip & tool.tags(cell)


def test_build_other_tags_are_kept(built):
    (cell,) = with_tag(built["chapters"], "nbval-ignore-output")
    assert cell.source.startswith("total = base + 1")


def test_build_twice_gives_the_same_notebook(root, built):
    again = tool.build(root / "source" / "09_sums.py")
    for kind in tool.KINDS:
        assert again[kind] == built[kind]
        nbformat.validate(again[kind])


def test_count_asserts_counts_the_cells_that_run(built):
    assert tool.count_asserts(built["chapters"]) == 2
    assert tool.count_asserts(built["solutions"]) == 2


def commit(root, built):
    for kind, notebook in built.items():
        tool.write(notebook, root / kind / "09_sums.ipynb")


def test_drifted_fresh_notebooks_give_no_message(root, built):
    commit(root, built)
    assert tool.drifted(root / "source" / "09_sums.py") == []
    assert not list(root.rglob("*.partial"))


def test_drifted_missing_notebooks_are_named(root):
    assert tool.drifted(root / "source" / "09_sums.py") == [
        "chapters/09_sums.ipynb is missing",
        "solutions/09_sums.ipynb is missing",
    ]


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("total = base + 1", "total = base + 2", ["chapters"]),
        ("secret = a + b", "secret = b + a", ["solutions"]),
        ("Why this is right", "Why", ["solutions"]),
        ("base = 40", "base = 41", ["chapters", "solutions"]),
        ("Return the sum.", "Return it.", ["chapters", "solutions"]),
        ('["nbval-ignore-output"]', "[]", ["chapters"]),
        ("# ## 1. A sum", "# ## 1. Sum", ["chapters"]),
    ],
)
def test_drifted_changed_source_names_the_notebooks_behind(
    root, built, old, new, kinds
):
    commit(root, built)
    path = root / "source" / "09_sums.py"
    assert old in SOURCE
    path.write_text(SOURCE.replace(old, new), "utf-8")
    assert tool.drifted(path) == [
        f"{kind}/09_sums.ipynb differs from source/09_sums.py" for kind in kinds
    ]


def test_drifted_outputs_do_not_count(root, built):
    commit(root, built)
    path = root / "chapters" / "09_sums.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[3].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="total 41\n")
    ]
    notebook.cells[3].execution_count = 2
    tool.write(notebook, path)
    assert tool.drifted(root / "source" / "09_sums.py") == []


def test_orphans_notebook_without_source_is_named(root, built):
    commit(root, built)
    assert tool.orphans() == []
    folder = root / "solutions"
    shutil.copy(folder / "09_sums.ipynb", folder / "10_old.ipynb")
    assert tool.orphans() == ["solutions/10_old.ipynb has no source"]


def test_sources_pattern_picks_by_name(root):
    (root / "source" / "10_more.py").write_text(SOURCE, "utf-8")
    assert [path.stem for path in tool.sources()] == ["09_sums", "10_more"]
    assert [path.stem for path in tool.sources("10")] == ["10_more"]


@pytest.mark.parametrize("kind", tool.KINDS)
def test_execute_runs_every_cell_that_is_not_skipped(root, built, kind):
    notebook = built[kind]
    assert tool.execute(notebook, root / kind) > 0
    counts = [
        cell.execution_count
        for cell in notebook.cells
        if cell.cell_type == "code" and "skip-execution" not in tool.tags(cell)
    ]
    assert counts == list(range(1, len(counts) + 1))
    tool.write(notebook, root / kind / "09_sums.ipynb")
    assert not [
        message
        for message in tool.drifted(root / "source" / "09_sums.py")
        if message.startswith(kind) and "differs" in message
    ]


def test_execute_wrong_answer_raises(root, built):
    notebook = built["solutions"]
    (answer,) = with_tag(notebook, "exercise")
    answer.source = answer.source.replace("a + b", "a - b")
    with pytest.raises(CellExecutionError, match="AssertionError"):
        tool.execute(notebook, root / "solutions")


def test_check_pythons_finds_interpreters_by_version():
    found, missing = check_pythons.installed(
        [sys.executable, "python-of-nowhere"]
    )
    version = "{}.{}".format(*sys.version_info)
    assert found == {version: sys.executable}
    assert missing == ["python-of-nowhere"]
    for name in check_pythons.TESTS:
        assert (ROOT / "tests" / f"test_{name}.py").is_file()
    assert [path.stem for path in tool.sources(check_pythons.CHAPTER)] == [
        "01_concepts"
    ]


def test_check_pythons_none_installed_or_unsupported_fails(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["check_pythons", "python-of-nowhere"])
    assert check_pythons.main() == 1
    assert "python-of-nowhere: not installed" in capsys.readouterr().out
    monkeypatch.setattr(
        check_pythons, "installed", lambda names: ({"3.9": "p"}, [])
    )
    assert check_pythons.main() == 1
    assert "3.9      not supported: 3.11, 3.12, 3.13" in capsys.readouterr().out


def test_results_page_keeps_what_was_not_run(tmp_path, monkeypatch):
    page = tmp_path / "results.md"
    monkeypatch.setattr(results_page, "PAGE", page)
    table = {"title": "T", "header": ["a", "b"], "rows": [["1", "2"]]}
    results_page.write("full", "02_autoencoders", 7.4, [table])
    results_page.write("quick", "02_autoencoders", 3.0, [table])
    results_page.write("full", "01_concepts", 66.0, [table, table])
    first = page.read_text("utf-8")
    assert re.findall("^##+ (.*)$", first, flags=re.M) == [
        "01_concepts",
        "Full profile: 66 s",
        "02_autoencoders",
        "Full profile: 7 s",
        "Quick profile: 3 s",
    ]
    assert first.count("| 1 | 2 |") == 4
    assert first.count("keras ") == 3, "each part says where it was run"
    results_page.write("full", "02_autoencoders", 9.0, [])
    again = page.read_text("utf-8")
    assert "Full profile: 9 s" in again and "Quick profile: 3 s" in again
    assert again.count("| 1 | 2 |") == 3
