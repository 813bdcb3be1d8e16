"""The shape of the library: who imports whom, what is public, how long."""

import ast
import doctest
import importlib
import inspect
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTILS = ROOT / "utils"

# The rooms of utils and what each may import. A room may import files of its
# own where its __init__ names the files that do so.
LOW = {"support"}
PARTS = {*LOW, "data", "metrics", "plotting", "nn"}
ROOMS = {
    "support": set(),
    "runtime": LOW,
    "data": LOW,
    "metrics": LOW,
    "plotting": LOW,
    "nn": LOW,
    "models": {*LOW, "nn"},
    "training": {*LOW, "nn", "models"},
    "baselines": {*PARTS, "models"},
    "evaluation": {*PARTS, "models", "training", "baselines"},
    "checks": {*PARTS, "models", "training", "baselines", "evaluation"},
}
PRINTING = {"runtime", "training", "checks"}
BACKENDS = {"tensorflow", "tf_keras", "jax", "torch"}
HEAVY = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
)

FILES = sorted(path for path in UTILS.rglob("*.py"))
FILE_IDS = [path.relative_to(UTILS).as_posix() for path in FILES]
PUBLIC = [
    path
    for path in FILES
    if not path.stem.startswith("_") and path.parent.name != "checks"
]

each_file = pytest.mark.parametrize("path", FILES, ids=FILE_IDS)


def room(path):
    """Name of the module in the table; all of checks/ is one room."""
    inside = path.relative_to(UTILS)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def module_name(path):
    """Dotted name under which a file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Full names of all modules a file imports, wherever it does."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            if node.module == "utils":
                found |= {f"utils.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
    return found


def rooms_imported(path):
    return {
        name.split(".")[1]
        for name in imports(path)
        if name.startswith("utils.")
    }


@each_file
def test_file_stands_in_a_room(path):
    assert room(path) in ROOMS or path == UTILS / "__init__.py"


def test_at_most_five_files_stand_at_the_top():
    assert len(list(UTILS.glob("*.py"))) <= 5


def rooms_of_plan(file):
    """First column of the table of rooms, in Markdown or in a docstring."""
    text = (ROOT / file).read_text(encoding="utf-8")
    row = r"^\| `(\w+)` \|" if file.endswith(".md") else r"^``(\w+)``  "
    return re.findall(row, text, re.M)


@pytest.mark.parametrize(
    "file", ["utils/__init__.py", "README.md", "CONTRIBUTING.md"]
)
def test_three_plans_show_the_same_rooms_in_the_same_order(file):
    plan = rooms_of_plan(file)
    assert set(plan) == set(ROOMS)
    assert plan == rooms_of_plan("utils/__init__.py")


@each_file
def test_nobody_imports_upwards(path):
    if path == UTILS / "__init__.py":
        assert not rooms_imported(path)
        return
    others = rooms_imported(path) - {room(path)}
    assert not others - ROOMS[room(path)]


@each_file
def test_imports_within_a_room_are_announced_by_its_init(path):
    own = room(path)
    if path.stem == "__init__" or path.parent == UTILS:
        return
    inside = {
        name.split(".")[2]
        for name in imports(path)
        if name.startswith(f"utils.{own}.")
    }
    usual = {"base", "validation", "_feedback"}  # what all files rest on
    if inside - usual:
        init = ast.get_docstring(tree(path.parent / "__init__.py"))
        assert f"``{path.stem}``" in init


@each_file
def test_only_backend_imports_a_backend(path):
    named = {name.split(".")[0] for name in imports(path)} & BACKENDS
    assert not named or path == UTILS / "nn" / "backend.py"


@each_file
def test_no_private_keras_module_imported(path):
    assert not [name for name in imports(path) if "keras.src" in name]


@each_file
def test_no_assert_statement(path):
    lines = [
        n.lineno for n in ast.walk(tree(path)) if isinstance(n, ast.Assert)
    ]
    assert not lines


@each_file
def test_only_the_speaking_modules_print(path):
    calls = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not calls or room(path) in PRINTING


def docstring_lines(node):
    """Lines of all docstrings below a node."""
    total = 0
    for child in ast.walk(node):
        body = getattr(child, "body", None)
        if not isinstance(body, list) or not body:
            continue
        first = body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            total += first.end_lineno - first.lineno + 1
    return total


@each_file
def test_function_bodies_are_at_most_forty_lines(path):
    if room(path) == "checks":
        return  # a check is a flat list of the mistakes it names
    long = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            start = node.body[0].lineno
            length = node.end_lineno - start + 1 - docstring_lines(node)
            if length > 40:
                long[node.name] = length
    assert not long


def public_modules():
    return [importlib.import_module(module_name(p)) for p in sorted(PUBLIC)]


def public_objects():
    return [
        (module.__name__, name)
        for module in public_modules()
        for name in getattr(module, "__all__", ())
    ]


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_public_module_declares_what_is_public(path):
    module = importlib.import_module(module_name(path))
    assert module.__all__
    assert len(set(module.__all__)) == len(module.__all__)
    defined = {
        node.name
        for node in tree(path).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
    }
    # main is for `python -m`
    assert defined - {"main"} <= set(module.__all__)
    assert module.__doc__


@pytest.mark.parametrize(("module", "name"), public_objects())
def test_public_object_and_its_methods_have_docstrings(module, name):
    value = getattr(importlib.import_module(module), name)
    if not callable(value):
        return
    assert value.__doc__ and value.__doc__ != getattr(
        value.__base__ if inspect.isclass(value) else None, "__doc__", None
    )
    if not inspect.isclass(value):
        return
    for method, function in vars(value).items():
        if method.startswith("_") or not inspect.isfunction(function):
            continue
        inherited = any(hasattr(base, method) for base in value.__mro__[1:])
        assert inherited or function.__doc__, method


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_docstring_examples_give_what_they_show(path):
    module = importlib.import_module(module_name(path))
    import numpy

    result = doctest.testmod(module, extraglobs={"np": numpy})
    assert result.failed == 0


def test_some_docstring_examples_exist():
    found = [
        example
        for module in public_modules()
        for test in doctest.DocTestFinder().find(module)
        for example in test.examples
    ]
    assert len(found) >= 5


def test_import_of_the_package_loads_nothing_heavy(run_python):
    code = (
        "import sys, utils, utils.runtime\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    # runtime checks arguments, and those checks use NumPy
    assert run_python(code).strip() in ("[]", "['numpy']")
    code = code.replace(", utils.runtime", "")
    assert run_python(code).strip() == "[]"


def test_data_loads_without_keras(run_python):
    code = (
        "import sys\nfrom utils import data\ndata.load('iris')\n"
        "print([m for m in ('keras', 'tensorflow', 'matplotlib') "
        "if m in sys.modules])"
    )
    assert run_python(code).strip() == "[]"
