"""The shape of the library: who imports whom, what is public, how long."""

import ast
import doctest
import importlib
import inspect
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
UTILS = ROOT / "utils"

# Floors of the library. A module imports only from floors below its own.
# Modules that do not exist yet already have their place.
FLOORS = {
    -1: ("_files",),
    0: ("_validation", "runtime", "_toy_sets"),
    # data's private half: kept beside it, for length
    0.5: ("_full_size", "_batches", "_code_prior", "_course_model"),
    1: (
        "data",
        "images",
        "metrics",
        "generation",
        "factors",
        "interactions",
        "ranking",
        "sounds",
        "plotting",
        "backend",
        "losses",
        "layers",
        "repeats",
        "corpus",
        "ngrams",
        "tokens",
    ),
    1.5: ("augmentation", "_classifiers"),
    2: ("networks", "reconstruction"),
    2.5: (
        "_variational",
        "_adversarial",
        "_text_models",
        "_factorization",
    ),
    2.6: ("_latent_models", "_pretext", "_neighbor_clustering"),
    3: (
        "autoencoders",
        "gans",
        "judge",
        "vaes",
        "vector_quantized",
        "recommenders",
        "text",
        "words",
        "ngram_mixture",
        "sequences",
        "compression",
        "translation",
        "contrastive",
    ),
    3.5: ("pretext",),
    4: ("pretraining", "clustering", "anomaly", "callbacks"),
    4.3: ("_efficiency_runs",),
    4.6: ("label_efficiency",),
    5: ("checks",),
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}
PRINTING = {"runtime", "callbacks", "checks"}
BACKENDS = {"tensorflow", "tf_keras", "jax", "torch"}
MODELS = {*FLOORS[2], *FLOORS[3]}
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
PUBLIC = [path for path in UTILS.glob("*.py") if not path.stem.startswith("_")]

each_file = pytest.mark.parametrize("path", FILES, ids=FILE_IDS)


def room(path):
    """Name of the module in the table; all of checks/ is one room."""
    inside = path.relative_to(UTILS)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


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
def test_module_has_a_place_in_the_table(path):
    assert room(path) in FLOOR_OF or path == UTILS / "__init__.py"


@each_file
def test_module_imports_only_from_floors_below(path):
    if path == UTILS / "__init__.py":
        assert not rooms_imported(path)
        return
    own = room(path)
    for other in rooms_imported(path):
        if own == other == "checks":
            continue  # the chapters' checks share one helper module
        if other == "_validation":
            assert own != "_toy_sets"
            continue
        assert FLOOR_OF[other] < FLOOR_OF[own], f"{own} imports {other}"


@each_file
def test_private_half_of_data_is_used_by_data_alone(path):
    private = {"_toy_sets", "_full_size"} & rooms_imported(path)
    assert not private or room(path) == "data"


@each_file
def test_models_never_import_data_metrics_or_plotting(path):
    if room(path) in MODELS:
        assert not rooms_imported(path) & {"data", "metrics", "plotting"}


@each_file
def test_only_backend_imports_a_backend(path):
    named = {name.split(".")[0] for name in imports(path)} & BACKENDS
    assert not named or room(path) == "backend"


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


@each_file
def test_module_is_at_most_three_hundred_lines_beside_docstrings(path):
    text = path.read_text(encoding="utf-8")
    if room(path) == "checks":
        return  # a flat list of exercises, one function each
    code = len(text.splitlines()) - docstring_lines(tree(path))
    assert code <= 300


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
    return [importlib.import_module(f"utils.{p.stem}") for p in sorted(PUBLIC)]


def public_objects():
    return [
        (module.__name__, name)
        for module in public_modules()
        for name in getattr(module, "__all__", ())
    ]


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_public_module_declares_what_is_public(path):
    module = importlib.import_module(f"utils.{path.stem}")
    assert 1 <= len(module.__all__) <= 8
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


def test_library_has_at_most_190_public_names():
    assert len(public_objects()) <= 190


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
    module = importlib.import_module(f"utils.{path.stem}")
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
