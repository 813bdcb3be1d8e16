"""The notebook builder and runner on a tiny course; drift."""

import ast
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import build_notebooks as tool
import check_pythons
import nbformat
import pytest
import results_page
import robust
import run_course
import sittings
import where_time_goes as where

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
    (tmp_path / "docs").mkdir()
    for module in (sittings, tool, results_page):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(results_page, "PAGE", tmp_path / "docs" / "results.md")
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
        exercise = tool.tags(cell) & {"exercise", "check", "colab"}
        if cell.cell_type == "code":
            assert (skip <= tool.tags(cell)) == bool(exercise)
    for cell in built["solutions"].cells:
        assert "colab" in tool.tags(cell) or not skip & tool.tags(cell)


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


# ----------------------------------------------------------- executing them


def sitting(folder, *cells, name="tiny", **environment):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    return sittings.Sitting(name, notebook, folder, environment)


@pytest.mark.parametrize("kind", tool.KINDS)
def test_execute_runs_every_cell_that_is_not_skipped(root, built, kind):
    notebook = built[kind]
    done = sittings.Sitting("09_sums", notebook, root / kind)
    done.execute()
    assert done.error is None
    assert done.seconds > 0
    counts = [
        cell.execution_count
        for cell in notebook.cells
        if cell.cell_type == "code" and "skip-execution" not in tool.tags(cell)
    ]
    assert counts == list(range(1, len(counts) + 1))
    assert done.cell == done.cells == len(counts)
    tool.write(notebook, root / kind / "09_sums.ipynb")
    assert not [
        message
        for message in tool.drifted(root / "source" / "09_sums.py")
        if message.startswith(kind) and "differs" in message
    ]


def test_execute_wrong_answer_names_cell_and_message(root, built):
    notebook = built["solutions"]
    (answer,) = with_tag(notebook, "exercise")
    answer.source = answer.source.replace("a + b", "a - b")
    done = sittings.Sitting("09_sums", notebook, root / "solutions")
    done.execute()
    assert done.error == "in cell [3]: AssertionError: "
    assert "assert add(base, 2) == 42" in done.details
    assert "\x1b" not in done.details


def test_execute_dead_kernel_and_endless_cell_end_one_sitting(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sittings, "CELL_TIMEOUT", 2)
    dead = sitting(tmp_path, "pass", "import os; os._exit(1)", "pass")
    dead.execute()
    assert dead.error.startswith("in cell [2]: Kernel died")
    endless = sitting(tmp_path, "while True: pass")
    endless.execute()
    assert endless.error == "in cell [1]: not done after 2 s"
    assert "while True" in endless.details
    assert not endless.kernel.is_running(), "no kernel is left"


def test_cell_of_the_full_profile_gets_longer(tmp_path):
    quick = sitting(tmp_path, "pass")
    full = sitting(tmp_path, "pass")
    full.environment["COURSE_PROFILE"] = "full"
    assert full.timeout >= 3600 > quick.timeout == sittings.CELL_TIMEOUT


def test_execute_reports_the_largest_memory_of_the_kernel(tmp_path):
    small = sitting(tmp_path, "pass")
    large = sitting(tmp_path, "b = b'1' * 150_000_000; del b")
    for one in (small, large):
        one.execute()
    assert 2e7 < small.memory < 5e8
    if sys.platform != "darwin":  # there it is that of the moment
        assert large.memory > small.memory + 1e8


def test_run_all_runs_two_at_a_time_with_their_share_of_threads(
    tmp_path, capsys, monkeypatch
):
    # each waits for the other's file: one after the other would not end
    meet = """\
import os, pathlib, time
mine, other = os.environ["MINE"], pathlib.Path(os.environ["OTHER"])
pathlib.Path(mine).touch()
end = time.time() + 30
while not other.exists():
    assert time.time() < end
    time.sleep(0.05)
print(os.environ["OMP_NUM_THREADS"])"""
    monkeypatch.setattr(sittings, "cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    both = [
        sitting(tmp_path, meet, name=mine, MINE=mine, OTHER=other)
        for mine, other in (("a", "b"), ("b", "a"))
    ]
    ended = list(sittings.run_all(both, jobs=2))
    assert sorted(one.name for one in ended) == ["a", "b"]
    for one in both:
        assert one.error is None, one.details
        assert one.notebook.cells[0].outputs[0].text == "3\n"
    lines = capsys.readouterr().out.splitlines()
    assert [line[:5] for line in lines] == ["[1/2]", "[2/2]"]


def test_run_all_given_up_leaves_no_kernel(tmp_path):
    first = sitting(tmp_path, "pass", name="first")
    second = sitting(tmp_path, "import time", "time.sleep(100)", name="second")
    third = sitting(tmp_path, "pass", name="third")
    running = sittings.run_all([first, second, third], jobs=2)
    assert next(running) is first
    running.close()  # as Ctrl-C does
    assert second.error is not None
    for one in (first, second, third):  # the third may not have begun
        assert one.kernel is None or not one.kernel.is_running()


def test_threads_what_the_user_set_stays(monkeypatch):
    monkeypatch.setattr(sittings, "cores", lambda: 8)
    for name in sittings.THREADS:
        monkeypatch.delenv(name, raising=False)
    assert set(sittings.threads(2).values()) == {"4"}
    assert set(sittings.threads(16).values()) == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert sittings.threads(2)["OMP_NUM_THREADS"] == "5"


def test_room_is_one_kernel_a_core_as_far_as_memory_allows(monkeypatch):
    monkeypatch.setattr(sittings, "cores", lambda: 8)

    def free(size):
        memory = SimpleNamespace(available=size)
        monkeypatch.setattr(sittings.psutil, "virtual_memory", lambda: memory)
        return sittings.room()

    assert free(100 * sittings.MEMORY) == 8
    assert free(3.5 * sittings.MEMORY) == 3
    assert free(0) == 1


def test_progress_line_is_rewritten_on_a_terminal(tmp_path, capsys):
    one, two = (sitting(tmp_path, "1", "2", name=n) for n in ("one", "two"))
    line = sittings.ProgressLine([one, two])
    line.terminal = True
    two.kernel, two.cell = object(), 1
    assert line.text().startswith("[0/2] two 1/2 · ")
    line.show()
    one.seconds = 3.0
    line.tell(one)  # went well: the line says enough
    line.show()
    two.seconds, two.error = 4.0, "in cell [1]: ValueError: x"
    line.tell(two)
    printed = capsys.readouterr().out
    assert "[1/2] two 1/2" in printed
    assert printed.endswith("\r[2/2] two  FAILED in cell [1]: ValueError: x\n")
    assert printed.count("\n") == 1


@pytest.fixture
def course(root, monkeypatch):
    """Two chapters that record a table each, and the runner's way to them."""
    monkeypatch.setattr(run_course, "ROOT", root)
    record = """

# %%
import json, os, pathlib
folder = pathlib.Path(os.environ["COURSE_RESULTS"])
table = {"title": "of TITLE", "header": ["a"], "rows": [["1"]]}
with open(folder / "results.jsonl", "a") as file:
    file.write(json.dumps(table) + "\\n")
"""
    for stem in ("08_first", "09_sums"):
        path = root / "source" / f"{stem}.py"
        path.write_text(SOURCE + record.replace("TITLE", stem), "utf-8")
        for kind, notebook in tool.build(path).items():
            tool.write(notebook, root / kind / f"{stem}.ipynb")
    return root


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["run_course", *arguments])
    return run_course.main()


def test_run_course_records_each_chapter_s_own_tables(
    course, monkeypatch, capsys
):
    for _ in range(2):  # nothing of the first run is left in the second
        assert run(monkeypatch, "--record", "--jobs", "2") == 0
    printed = capsys.readouterr().out
    assert printed.count("  2 asserts") == 4
    assert re.search(r"^09_sums +\d+ +\d+ MB  2 asserts$", printed, re.M)
    page = (course / "docs" / "results.md").read_text("utf-8")
    for stem in ("08_first", "09_sums"):
        section = page.split(f"## {stem}\n")[1].split("\n## ")[0]
        assert re.findall(r"\*\*of (\w+)\*\*", section) == [stem]
    assert set(results_page.times("quick")) == {"08_first", "09_sums"}
    assert results_page.times("full") == {}
    copy = nbformat.read(course / "build" / "quick" / "09_sums.ipynb", 4)
    assert copy.cells[4].outputs[0].text == "total 41\n"


NAMED = """\
rows = load(seed=3, size=5, random_state=rest)
draw = np.random.default_rng(7)
SEEDS = pick(quick=range(3), full=range(2, n))
LATER_SEED, size = 4, 4
two_seeds = [1, 2]
again = repeats.seeds(3)
def f(x=1, seed=2, *, noise_seed=3, width=4): pass
for seed in range(2): pass
for epoch in range(2): pass
all(f(seed) for seed in SEEDS)
"""
MOVED = """\
rows = load(seed=1003, size=5, random_state=rest)
draw = np.random.default_rng(1007)
SEEDS = pick(quick=range(0 + 1000, 3 + 1000), full=range(2 + 1000, n + 1000))
LATER_SEED, size = (4, 4)
two_seeds = [1001, 1002]
again = repeats.seeds(3, 1000)
def f(x=1, seed=1002, *, noise_seed=1003, width=4): pass
for seed in range(0 + 1000, 2 + 1000): pass
for epoch in range(2): pass
all(f(seed) for seed in SEEDS)
"""


def test_robust_moves_seeds_and_nothing_else(course):
    tree = robust.Shift(1000).visit(ast.parse(NAMED))
    assert ast.unparse(tree) == ast.unparse(ast.parse(MOVED))
    for path in course.glob("chapters/*.ipynb"):
        before, after = nbformat.read(path, 4), nbformat.read(path, 4)
        robust.shifted(after, 1000)
        for tag in ("exercise", "check"):
            assert with_tag(before, tag) == with_tag(after, tag)


def test_robust_page_says_what_failed_and_keeps_what_was_not_run(
    course, monkeypatch, capsys
):
    monkeypatch.setattr(robust, "ROOT", course)
    monkeypatch.setattr(robust, "PAGE", course / "docs" / "robust.md")
    path = course / "chapters" / "08_first.ipynb"
    fragile = nbformat.read(path, 4)
    code = [cell for cell in fragile.cells if "base = 40" in cell.source]
    code.append(fragile.cells[-1])
    monkeypatch.setenv("COURSE_RESULTS", str(course))
    code[0].source += "\nseed = 5\nassert seed < 1000, 'a seed'\nprint(.35)"
    code[-1].source += "\nprint('goes on')"
    tool.write(fragile, path)
    monkeypatch.setattr(sys, "argv", ["robust", "--only", "seeds + 1"])
    assert robust.main() == 1
    assert "a seed" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["robust", "--only", "one thread"])
    assert robust.main() == 1, "two cells print what is not committed"
    found = robust.read_page()
    (failure,) = found["08_first", "seeds + 1"]
    assert failure.startswith("cell 1: AssertionError a seed at `assert seed")
    assert [line[-17:] for line in found["08_first", "one thread"]] == [
        " prints otherwise"
    ] * 2
    assert found["09_sums", "seeds + 1"] == found["09_sums", "one thread"] == []
    assert ("09_sums", "two threads") not in found
    robust.write_page(found)
    assert robust.read_page() == found


def test_run_course_failing_chapter_is_named_and_the_others_run(
    course, monkeypatch, capsys
):
    path = course / "chapters" / "08_first.ipynb"
    broken = nbformat.read(path, 4)
    broken.cells[4].source = "assert total == 0, 'no sum'"
    tool.write(broken, path)
    assert run(monkeypatch, "--record") == 1
    printed = capsys.readouterr().out
    assert re.search(r"^08_first .* FAILED$", printed, re.M)
    assert re.search(r"^09_sums .* 2 asserts$", printed, re.M)
    assert "08_first failed in cell [2]: NameError" in printed
    assert "assert total == 0" in printed
    assert list(results_page.times("quick")) == ["09_sums"]


def test_run_course_table_warns_of_a_kernel_that_takes_too_much(tmp_path):
    heavy = sitting(tmp_path, "assert True", name="heavy")
    heavy.seconds, heavy.memory = 1.0, sittings.MEMORY + 2**20
    (_, line) = run_course.table([heavy])
    assert (
        line.split() == "heavy 1 2049 MB 1 asserts; more than 2048 MB".split()
    )


def test_run_course_slowest_chapters_and_new_ones_start_first(monkeypatch):
    times = {"a": 10.0, "b": 30.0, "c": 20.0}
    monkeypatch.setattr(results_page, "times", lambda profile: times)
    order = run_course.slowest_first(["a", "b", "c", "new"], "quick")
    assert order == ["new", "b", "c", "a"]


def test_run_course_pattern_without_a_chapter_is_refused(
    course, monkeypatch, capsys
):
    with pytest.raises(SystemExit):
        run(monkeypatch, "nowhere")
    assert "no chapter has 'nowhere' in its name" in capsys.readouterr().err


def test_build_notebooks_writes_what_went_well(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["build_notebooks", "--jobs", "2"])
    assert tool.main() == 0
    assert tool.drifted(root / "source" / "09_sums.py") == []
    path = root / "source" / "09_sums.py"
    path.write_text(SOURCE.replace("return secret", "return 0"), "utf-8")
    before = (root / "solutions" / "09_sums.ipynb").read_bytes()
    assert tool.main() == 1
    assert (root / "solutions" / "09_sums.ipynb").read_bytes() == before
    assert "solutions/09_sums failed in cell [3]" in capsys.readouterr().out


def test_build_notebooks_records_what_the_chapter_did(course, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["build_notebooks", "09"])
    assert tool.main() == 0
    page = (course / "docs" / "results.md").read_text("utf-8")
    assert "of 09_sums" in page and "### Quick profile" in page
    assert "08_first" not in page


def test_build_notebooks_text_alone_keeps_what_was_executed(
    root, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["build_notebooks"])
    assert tool.main() == 0
    path = root / "source" / "09_sums.py"
    path.write_text(path.read_text("utf-8") + "\n# %% [markdown]\n# More.\n")
    monkeypatch.setattr(tool, "run_all", None)  # nothing is executed
    monkeypatch.setattr(sys, "argv", ["build_notebooks", "--text"])
    assert tool.main() == 0
    chapter = nbformat.read(root / "chapters" / "09_sums.ipynb", 4)
    assert chapter.cells[-1].source == "More."
    counts = [c.get("execution_count") for c in chapter.cells]
    assert 1 in counts
    chapter.metadata["widgets"] = slider = {"state": {"value": 2}}
    nbformat.write(chapter, root / "chapters" / "09_sums.ipynb")
    assert tool.main() == 0
    chapter = nbformat.read(root / "chapters" / "09_sums.ipynb", 4)
    assert chapter.metadata["widgets"] == slider, "drawn without a kernel"
    before = (root / "solutions" / "09_sums.ipynb").read_bytes()
    path.write_text(
        path.read_text("utf-8").replace("return secret", "return 0")
    )
    assert tool.main() == 1
    assert "its code has changed: build it without" in capsys.readouterr().out
    assert (root / "solutions" / "09_sums.ipynb").read_bytes() == before


def test_build_notebooks_first_cell_fetches_the_package_in_colab_alone(
    root, monkeypatch
):
    called = []
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: called.append((a[0], k))
    )
    for notebook in tool.build(root / "source" / "09_sums.py").values():
        first = next(c for c in notebook.cells if c.cell_type == "code")
        assert tool.tags(first) >= {"colab", "nbval-skip", tool.SKIP}
        exec(first.source, {})
        assert not called
        monkeypatch.setitem(sys.modules, "google.colab", subprocess)
        exec(first.source, {})
        monkeypatch.delitem(sys.modules, "google.colab")
        command, more = called.pop()
        assert command[1:4] == ["-m", "pip", "install"] and more["check"]
        assert command[-1] == (
            f"deep-unsupervised-course @ {tool.REPOSITORY}/archive/main.zip"
        )
    assert '"deep-unsupervised-course[search]"' in tool.FETCH.format(
        extras=tool.EXTRAS["08a"], repository=""
    )


# ------------------------------------------------------------ other commands


def test_check_pythons_finds_interpreters_by_version():
    found, missing = check_pythons.installed(
        [sys.executable, "python-of-nowhere"]
    )
    version = "{}.{}".format(*sys.version_info)
    assert found == {version: sys.executable}
    assert missing == ["python-of-nowhere"]
    assert len(check_pythons.test_files()) == len(check_pythons.TESTS)
    assert [path.stem for path in tool.sources(check_pythons.CHAPTER)] == [
        "01a_without_labels"
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


def test_results_page_a_bar_in_a_cell_is_no_border():
    text = results_page.markdown_table(["|a|", "b"], [["1", "2"]])
    assert text.splitlines()[0] == r"| \|a\| | b |"


def test_results_page_keeps_what_was_not_run(tmp_path, monkeypatch):
    page = tmp_path / "results.md"
    monkeypatch.setattr(results_page, "PAGE", page)
    table = {"title": "T", "header": ["a", "b"], "rows": [["1", "2"]]}
    results_page.write("full", "02a_autoencoders", 7.4, [table])
    results_page.write("quick", "02a_autoencoders", 3.0, [table])
    results_page.write("full", "01a_without_labels", 66.0, [table, table])
    first = page.read_text("utf-8")
    assert re.findall("^##+ (.*)$", first, flags=re.M) == [
        "01a_without_labels",
        "Full profile: 66 s",
        "02a_autoencoders",
        "Full profile: 7 s",
        "Quick profile: 3 s",
    ]
    assert first.count("| 1 | 2 |") == 4
    assert first.count("keras ") == 3, "each part says where it was run"
    results_page.write("full", "02a_autoencoders", 9.0, [])
    again = page.read_text("utf-8")
    assert "Full profile: 9 s" in again and "Quick profile: 3 s" in again
    assert again.count("| 1 | 2 |") == 3


def test_robust_without_avx512_one_run_fills_both_columns(monkeypatch):
    plain, *others = robust.VARIANTS
    monkeypatch.setattr(robust, "AVX512", "")
    assert robust.columns(plain) == ["as committed", "without AVX-512"]
    assert all(robust.columns(v) == [v.name] for v in others)
    monkeypatch.setattr(robust, "AVX512", "X86_V4")
    assert robust.columns(plain) == ["as committed"]


# ------------------------------------------------------ where the time goes


def test_clock_books_time_to_the_innermost_activity(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
    monkeypatch.setattr(where.time, "perf_counter", lambda: next(now))
    clock = where.Clock()
    with clock.during("steps"):  # from 1
        with clock.during("tracing"):  # 3 to 7
            pass
    # steps end at 15
    clock.turn()
    booked = {kind: s for kind, s in clock.seconds.items() if s}
    assert booked == {"the rest": 1 + 16, "steps": 2 + 8, "tracing": 4}


def test_clock_leaves_results_names_and_failures_alone():
    class Owner:
        def work(self, n):
            """Says what it does."""
            return 1 / n

    clock = where.Clock()
    clock.wrap(Owner, "work", "steps")
    assert Owner().work(2) == 0.5
    assert Owner.work.__doc__ == "Says what it does."
    with pytest.raises(ZeroDivisionError):
        Owner().work(0)
    assert clock.stack == ["the rest"]


def test_page_of_times_adds_up_and_is_read_again(monkeypatch, tmp_path):
    monkeypatch.setattr(where, "PAGE", tmp_path / "page.md")
    first, second = (path.stem for path in where.sources()[:2])
    times = [5.0, 4.0, 3.0, 2.0, 1.0, 0.5]
    where.write_page({first: times, "99_gone": times})
    where.write_page({**where.read_page(), second: [1.0] * 6})
    assert where.read_page() == {first: times, second: [1.0] * 6}
    lines = where.PAGE.read_text("utf-8").splitlines()
    assert lines[-2:] == [
        "| **together** | 21.5 | 6.0 | 5.0 | 4.0 | 3.0 | 2.0 | 1.5 |",
        "| **%** | 100 | 28 | 23 | 19 | 14 | 9 | 7 |",
    ]


def test_times_of_a_small_sitting_fall_where_they_belong(
    monkeypatch, tmp_path, run_script
):
    code = """
# %% tags=["setup"]
from utils import runtime
runtime.start(seed=0)
import keras, time
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans

# %%
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
model.compile("adam", "mse")
model.fit(np.zeros((8, 3)), np.zeros((8, 2)), epochs=3, verbose=0)
KMeans(2, n_init=1).fit(np.arange(8.0)[:, None])
plt.plot([1, 2])
plt.show()
time.sleep(0.5)

# %% tags=["exercise"]
raise NotImplementedError
"""
    path = tmp_path / "small.py"
    path.write_text(code, encoding="utf-8")
    done = run_script("tools/where_time_goes.py", "--here", str(path))
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout.splitlines()[-1])
    assert list(seconds) == list(where.KINDS)
    assert min(seconds.values()) > 0, "each kind occurred"
    assert seconds["the rest"] > 0.5, "the sleep"
    assert seconds["imports"] > seconds["scikit-learn"]
