"""What every layer and model of the library promises, by public API alone.

A :class:`Case` names a class, constructor arguments and the counts that go
with them. Tests parametrise over the cases; ``changed_arguments`` says which
arguments a case moves away from their defaults, so that a test can demand
that all of them are covered: with defaults a forgotten ``get_config`` key
stays green.
"""

import dataclasses
import inspect
import json
import pathlib

import keras
import numpy as np
from keras import ops

# Few steps are quicker eagerly than traced, but JAX compiles each operation.
EAGERLY = keras.backend.backend() != "jax"
QUICKLY = {
    "run_eagerly": EAGERLY,
    "jit_compile": False if EAGERLY else "auto",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One object to test.

    Args:
        name: Id of the case.
        cls: Class of the library.
        config: Constructor arguments.
        num_weights: Expected number of weight arrays.
        num_generators: Expected number of seed generators, sub-layers'
            included.
        builder: Name of the class method that takes the arguments; empty
            for the constructor itself.
    """

    name: str
    cls: type
    config: dict
    num_weights: int
    num_generators: int = 0
    builder: str = ""

    def make(self, **more):
        keras.utils.set_random_seed(0)  # for the cases without a seed
        build = getattr(self.cls, self.builder) if self.builder else self.cls
        return build(**{**self.config, **more})


def constructor_defaults(cls):
    """Default of each argument, those passed on as ``**kwargs`` included."""
    defaults = {}
    for ancestor in cls.__mro__:
        if not ancestor.__module__.startswith("utils"):
            break
        if "__init__" not in vars(ancestor):
            continue  # its parent's, which is on the way
        parameters = inspect.signature(ancestor.__init__).parameters.values()
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            if parameter.name != "self":
                defaults.setdefault(parameter.name, parameter.default)
    return defaults


def changed_arguments(case):
    """Names of the arguments that the case sets to a non-default value."""
    defaults = constructor_defaults(case.cls)
    return {
        name
        for name, value in case.config.items()
        if name in defaults and value != defaults[name]
    }


def json_form(config):
    """A config as it stands in a file: tuples become lists."""
    return json.loads(json.dumps(config, sort_keys=True))


def numpy_tree(outputs):
    """Outputs of a call as a flat dict of NumPy arrays."""
    if not isinstance(outputs, dict):
        outputs = {"output": outputs}
    return {
        name: np.asarray(ops.convert_to_numpy(ops.cast(value, "float32")))
        for name, value in outputs.items()
    }


def assert_same_outputs(first, second):
    """Same names and values; room for another order of summation only."""
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(
            first[name], second[name], rtol=1e-5, atol=1e-6, err_msg=name
        )


def check_config_round_trip(made):
    """``from_config(get_config())`` gives the same config again."""
    config = made.get_config()
    again = type(made).from_config(config)
    assert json_form(again.get_config()) == json_form(config)
    return again


def check_config_kept(case, **more):
    """Every argument of the case survives a round trip; the copy."""
    again = check_config_round_trip(case.make(**more))
    config = json_form(again.get_config())
    for name, value in case.config.items():
        if not case.builder or name in constructor_defaults(case.cls):
            assert config[name] == json_form(value), name
    return again


def as_tensors(x):
    """An array, or each array of a dict, as a tensor."""
    if isinstance(x, dict):
        return {name: ops.convert_to_tensor(part) for name, part in x.items()}
    return ops.convert_to_tensor(x)


LOAD_ALL = """
import json, pathlib, sys
sys.path.insert(0, {tests!r})
import numpy as np
from utils import runtime
keras = runtime._import_keras()
import contracts
from utils import {modules}  # registers the classes

folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.glob("*.keras")):
    model = keras.saving.load_model(path)
    with np.load(folder / f"{{path.stem}}_x.npz") as file:
        x = dict(file)
    outputs = model(contracts.as_tensors(x if len(x) > 1 else x["x"]))
    outputs = contracts.numpy_tree(outputs)
    np.savez(folder / f"{{path.stem}}_loaded.npz", **outputs)
    config = {{**model.get_config(), "class": type(model).__name__}}
    (folder / f"{{path.stem}}.json").write_text(json.dumps(config))
"""


def load_elsewhere(cases, inputs, folder, run_python, modules):
    """All cases saved here and loaded in one new process.

    Args:
        cases: The cases.
        inputs: Function of a case: an array, or a dict of arrays with "x".
        folder: Where files go; ``check_loaded`` reads them there.
        run_python: Fixture of that name.
        modules: Names of the modules of utils that define the classes.

    Returns:
        For each case its outputs and config before it was saved.
    """
    expected = {}
    for case in cases:
        model, rng = case.make(), np.random.default_rng(0)
        for weight in model.trainable_weights:
            value = ops.convert_to_numpy(weight)
            weight.assign(value + 0.1 * rng.normal(size=value.shape))
        x = inputs(case)
        model.save(folder / f"{case.name}.keras")
        arrays = x if isinstance(x, dict) else {"x": x}
        np.savez(folder / f"{case.name}_x.npz", **arrays)
        expected[case.name] = (
            numpy_tree(model(as_tensors(x))),
            model.get_config(),
        )
    tests = str(pathlib.Path(__file__).parent)
    code = LOAD_ALL.format(tests=tests, modules=", ".join(modules))
    run_python(code, folder, KERAS_BACKEND=keras.backend.backend())
    return expected


def check_loaded(case, folder, expected):
    """Same class and config; outputs before saving and after loading."""
    outputs, config = expected[case.name]
    found = json.loads((folder / f"{case.name}.json").read_text())
    assert found.pop("class") == case.cls.__name__
    assert found == json_form(config)
    for name, value in case.config.items():
        assert found[name] == json_form(value), name
    with np.load(folder / f"{case.name}_loaded.npz") as loaded:
        return outputs, dict(loaded)


def check_symbolic_shapes(model, x):
    """Shapes inferred without data agree with those of a real call."""
    symbolic = model(keras.Input(x.shape[1:]))
    eager = model(ops.convert_to_tensor(x))
    if not isinstance(eager, dict):
        symbolic, eager = {"output": symbolic}, {"output": eager}
    assert symbolic.keys() == eager.keys()
    for name, value in eager.items():
        assert symbolic[name].shape[0] is None, name
        assert tuple(symbolic[name].shape[1:]) == tuple(value.shape[1:]), name
        assert keras.backend.standardize_dtype(
            symbolic[name].dtype
        ) == keras.backend.standardize_dtype(value.dtype), name


def check_fit_moves_all_weights(model, x):
    """One step of plain descent changes every trainable weight array."""
    before = [
        ops.convert_to_numpy(weight).copy()
        for weight in model.trainable_weights
    ]
    model.compile(optimizer=keras.optimizers.SGD(1e-2), run_eagerly=EAGERLY)
    model.fit(x, batch_size=len(x), epochs=1, verbose=0)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(old, ops.convert_to_numpy(weight))
    ]
    assert not still, f"did not move: {still}"


def num_seed_generators(layer):
    """Random states below a layer: variables neither weight nor metric."""
    known = {id(value) for value in layer.weights}
    for metric in getattr(layer, "metrics", ()):
        known |= {id(value) for value in metric.variables}
    return sum(id(value) not in known for value in layer.variables)


def check_zero_weights_move_nothing(model, x, y=None):
    """Rows of weight 0 leave every weight where it was."""
    before = [w.copy() for w in model.get_weights()]
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    model.fit(x, y, sample_weight=np.zeros(num_rows(x)), verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def check_weights_are_repetitions(make, x, y=None):
    """Weights 0, 1, 2 train as rows left out, taken once, taken twice."""
    rows = num_rows(x)
    weight = np.resize([2.0, 0.0, 1.0, 2.0, 0.0, 1.0], rows)
    assert weight.sum() == rows  # means over as many rows
    repeated = np.repeat(np.arange(rows), weight.astype(int))
    found = []
    for order, given in ((np.arange(rows), weight), (repeated, None)):
        model = make()
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
        taken = keras.tree.map_structure(
            lambda a, o=order: a if a is None else a[o], (x, y)
        )
        model.fit(*taken, sample_weight=given, batch_size=rows, verbose=0)
        found.append(model.get_weights())
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)
    start = make().get_weights()
    assert any(
        np.abs(a - b).max() > 1e-4 for a, b in zip(start, found[0], strict=True)
    )


def num_rows(x):
    """Rows of an array, or of each array of a dict."""
    return len(next(iter(x.values())) if isinstance(x, dict) else x)
