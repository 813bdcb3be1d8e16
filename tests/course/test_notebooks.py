"""The committed notebooks, read but not run: form, sources, exercises.

nbval runs them. Here every chapter in ``source/`` is compared with its two
notebooks, and the notebooks with the rules of the course.
"""

import ast
import pathlib
import re

import build_notebooks as tool
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES, MAX_BYTES = 30, 1_000_000
# a sitting takes an hour
MAX_WORDS, MAX_CELLS, MAX_CODE = 3_000, 80, 450

SOURCES = tool.sources()
NOTEBOOKS = sorted(
    path for kind in tool.KINDS for path in (ROOT / kind).glob("*.ipynb")
)

each_source = pytest.mark.parametrize(
    "source", SOURCES, ids=[path.stem for path in SOURCES]
)
each_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=[f"{p.parent.name}/{p.stem}" for p in NOTEBOOKS]
)
each_chapter = pytest.mark.parametrize(
    "path",
    [path for path in NOTEBOOKS if path.parent.name == "chapters"],
    ids=lambda path: path.stem,
)

_READ = {}


def read(path):
    if path not in _READ:
        _READ[path] = nbformat.read(path, 4)
    return _READ[path]


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def markdown(path):
    return [c.source for c in read(path).cells if c.cell_type == "markdown"]


def headings(path, level):
    """Headings of one level, code fences left out."""
    text = re.sub(r"```.*?```", "", "\n\n".join(markdown(path)), flags=re.S)
    return re.findall(rf"^{'#' * level} (.+)$", text, re.M)


def parsed(cell):
    """Syntax tree of a cell, IPython's own lines left out."""
    lines = cell.source.splitlines()
    kept = [line for line in lines if not re.match(r"\s*[%!]", line)]
    return ast.parse("\n".join(kept))


def output_texts(cell):
    """Text a reader sees below a cell, and its streams' names."""
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            yield output.name, output.text
        elif output.output_type == "error":
            yield "error", "\n".join(output.traceback)
        elif not any(kind.startswith("image/") for kind in output.data):
            yield "data", output.data.get("text/plain", "")


def exercise_ids(path):
    text = "\n".join(markdown(path))
    return re.findall(r"^#+ Exercise (\d+[a-z]?\.\d+)", text, re.M)


def calls(cells):
    """Names of the functions called in these cells, modules left out."""
    functions = [
        node.func
        for cell in cells
        for node in ast.walk(parsed(cell))
        if isinstance(node, ast.Call)
    ]
    return [
        function.attr if isinstance(function, ast.Attribute) else function.id
        for function in functions
        if isinstance(function, (ast.Attribute, ast.Name))
    ]


# ------------------------------------------------------ source to notebook


@each_source
def test_source_both_committed_notebooks_match_it(source):
    assert tool.drifted(source) == []


def test_notebooks_none_without_a_source():
    assert tool.orphans() == []


def module_of(source):
    """Checks of a sitting: of its own, or of the chapter that it is part of."""
    number = re.match(r"\d+[a-z]?", source.stem).group()
    folder = ROOT / "utils" / "checks"
    own = folder / f"chapter_{number}.py"
    return own if own.exists() else folder / f"chapter_{number[:2]}.py"


MODULES = {}  # sittings by module of checks: they number exercises together
for path in SOURCES:
    MODULES.setdefault(module_of(path), []).append(path)
each_module = pytest.mark.parametrize(
    "module", MODULES, ids=[path.stem for path in MODULES]
)


@each_module
@pytest.mark.parametrize("kind", tool.KINDS)
def test_exercises_are_numbered_through_and_call_their_checks(module, kind):
    numbers, called = [], []
    for source in MODULES[module]:
        path = ROOT / kind / f"{source.stem}.ipynb"
        here = exercise_ids(path)
        cells = [c for c in code_cells(path) if "check" in tool.tags(c)]
        checks = [name for name in calls(cells) if name.startswith("check_")]
        wanted = {"check_" + number.replace(".", "_") for number in here}
        assert set(checks) == wanted, source.stem
        numbers += here
        called += checks
    chapter = re.search(r"0*(\d+[a-z]?)", module.stem).group(1)
    assert numbers == [f"{chapter}.{n + 1}" for n in range(len(numbers))]
    assert len(numbers) >= 5
    tree = ast.parse(module.read_text(encoding="utf-8"))
    defined = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
    ]
    assert sorted(called) == sorted(defined)


# ------------------------------------------------------------ every notebook


@each_notebook
def test_notebook_has_one_title(path):
    assert len(headings(path, 1)) == 1


@each_notebook
def test_notebook_is_at_most_one_megabyte(path):
    assert path.stat().st_size <= MAX_BYTES


@each_notebook
def test_notebook_has_no_empty_cell(path):
    empty = [i for i, c in enumerate(read(path).cells) if not c.source.strip()]
    assert not empty


@each_notebook
def test_notebook_code_cells_are_short(path):
    long = {
        cell.id: count
        for cell in code_cells(path)
        if (count := sum(map(bool, map(str.strip, cell.source.splitlines()))))
        > MAX_LINES
    }
    assert not long


@each_notebook
def test_notebook_installs_nothing_and_calls_no_shell(path):
    found = [
        cell.id
        for cell in code_cells(path)
        if re.search(r"^\s*(!|%pip|%conda|%%bash|%%sh)", cell.source, re.M)
    ]
    assert not found


@each_notebook
def test_notebook_executed_cells_are_counted_from_one_in_order(path):
    counts = [
        cell.execution_count
        for cell in code_cells(path)
        if "skip-execution" not in tool.tags(cell)
    ]
    assert counts == list(range(1, len(counts) + 1))


@each_notebook
def test_notebook_skipped_cells_have_neither_count_nor_output(path):
    for cell in code_cells(path):
        if "skip-execution" in tool.tags(cell):
            if "colab" not in tool.tags(cell):
                assert path.parent.name == "chapters"
                assert tool.tags(cell) & {"exercise", "check"}
            assert "nbval-skip" in tool.tags(cell)
            assert cell.execution_count is None
            assert not cell.outputs


@each_notebook
def test_notebook_outputs_show_no_warning_and_no_traceback(path):
    bad = re.compile(
        r"Traceback|Warning:|WARNING|\bError:|\x1b\[|/site-packages/"
    )
    for cell in code_cells(path):
        for name, text in output_texts(cell):
            assert name not in ("stderr", "error"), cell.id
            assert not bad.search(text), cell.id


@each_notebook
def test_notebook_outputs_name_no_path_of_the_machine(path):
    bad = re.compile(r"/(home|root|Users|tmp|work|opt)/|[A-Z]:\\\\")
    for cell in code_cells(path):
        for _, text in output_texts(cell):
            assert not bad.search(text), cell.id


@each_notebook
def test_notebook_ignores_only_outputs_that_exist(path):
    for cell in code_cells(path):
        found = tool.tags(cell)
        # a check is run in the solutions alone
        if "nbval-ignore-output" in found:
            assert cell.outputs or "skip-execution" in found, cell.id


@each_notebook
def test_notebook_at_least_two_fifths_of_text_outputs_are_compared(path):
    with_text = [
        cell
        for cell in code_cells(path)
        if any(text.strip() for _, text in output_texts(cell))
    ]
    compared = [
        cell
        for cell in with_text
        if "nbval-ignore-output" not in tool.tags(cell)
    ]
    assert len(compared) >= 0.4 * len(with_text)


# ---------------------------------------------------------------- chapters


def library_names():
    names = set()
    for path in (ROOT / "utils").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "__all__"
                for target in node.targets
            ):
                names |= set(ast.literal_eval(node.value))
    return names


@each_chapter
def test_chapter_opens_with_goals_before_any_code(path):
    opening = []
    for cell in read(path).cells:
        if cell.cell_type == "code":
            break
        opening.append(cell.source)
    text = "\n".join(opening)
    goals = re.search(
        r"we will show[^\n]*\n\s*\n?((?:[-*\d].*(?:\n[ ]+.*)*\n?)+)", text, re.I
    )
    assert goals, "no list after 'We will show'"
    items = re.findall(r"^(?:[-*]|\d+\.) ", goals.group(1), re.M)
    assert 3 <= len(items) <= 8


def length(path):
    """Words of prose, cells and lines of code of a chapter.

    Displayed formulas, addresses of links and the exercises' stubs count as
    what they are to a reader: nothing.
    """
    prose = "\n".join(markdown(path))
    prose = re.sub(r"\$\$.*?\$\$", " ", prose, flags=re.S)
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    words = len(re.findall(r"\w[\w'’.-]*", prose))
    lines = [
        line
        for cell in code_cells(path)
        if not tool.tags(cell) & {"exercise", "check", "colab"}
        for line in cell.source.splitlines()
        if line.strip()
    ]
    return words, len(read(path).cells), len(lines)


@each_chapter
def test_chapter_takes_an_hour(path):
    found = length(path)
    allowed = MAX_WORDS, MAX_CELLS, MAX_CODE
    assert all(n <= most for n, most in zip(found, allowed, strict=True)), found


@each_chapter
def test_chapter_cells_that_only_assert_are_folded(path):
    open_to_sight = [
        cell.id
        for cell in code_cells(path)
        if parsed(cell).body
        and all(isinstance(node, ast.Assert) for node in parsed(cell).body)
        and not cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    assert not open_to_sight


@each_chapter
def test_chapter_redefines_no_name_of_the_library(path):
    defined = {
        node.name
        for cell in code_cells(path)
        for node in parsed(cell).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    assert not defined & library_names()


@each_chapter
def test_chapter_runs_from_any_seeds(path):
    """No seed decides by being 0, or `make robust` could not move them."""
    tests = [
        test
        for cell in code_cells(path)
        for node in ast.walk(parsed(cell))
        for test in (
            getattr(node, "test", None),
            getattr(node, "operand", None),
        )
    ]
    assert not [t for t in tests if isinstance(t, ast.Name) and t.id == "seed"]


@each_notebook
def test_no_cell_takes_the_name_of_an_import(path):
    trees = [parsed(cell) for cell in code_cells(path)]
    nodes = [node for tree in trees for node in tree.body]
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    bound = {
        name.id
        for node in nodes
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef))
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    assert not bound & imported


@each_chapter
def test_chapter_shows_no_answer(path):
    text = path.read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text
    assert "END SOLUTION" not in text
    assert "HIDDEN TESTS" not in text
    stubs = [cell for cell in code_cells(path) if "exercise" in tool.tags(cell)]
    assert stubs
    for cell in stubs:
        assert "# your answer here" in cell.source, cell.id
        # a function waits by its error, a name by holding nothing
        body = parsed(cell).body
        assert not any(isinstance(node, ast.Raise) for node in body), cell.id
        assert "    raise NotImplementedError" in cell.source or any(
            holds_nothing(node.value)
            for node in body
            if isinstance(node, ast.Assign)
        ), cell.id


def holds_nothing(node):
    """Whether an expression is ``None``, or a list or dict of nothing."""
    if isinstance(node, ast.Dict):
        return all(map(holds_nothing, node.values))
    if isinstance(node, (ast.List, ast.Tuple)):
        return all(map(holds_nothing, node.elts))
    return isinstance(node, ast.Constant) and node.value is None


@each_chapter
def test_chapter_starts_with_the_library_s_start(path):
    _, first = code_cells(path)[:2]
    assert "runtime.start(" in first.source
    assert first.outputs[0].text.startswith("profile quick | backend ")


@each_chapter
def test_chapter_claims_are_asserted_in_plain_sight(path):
    assert tool.count_asserts(read(path)) >= 5


@each_chapter
def test_chapter_fits_show_one_progress_line_or_nothing(path):
    # verbose=1, Keras's default, leaves control characters in the output
    for cell in code_cells(path):
        for node in ast.walk(parsed(cell)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("fit", "evaluate")
            ):
                names = {
                    keyword.arg: keyword.value for keyword in node.keywords
                }
                value = names.get("verbose")
                if isinstance(value, ast.Constant):
                    assert value.value == 0, cell.id
        for _, text in output_texts(cell):
            assert not re.search(r"[\x00-\x08\x0b-\x1f]", text), cell.id
