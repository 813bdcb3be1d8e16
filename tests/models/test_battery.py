"""Every model, every way of giving data: one table of models × ways.

As scikit-learn's ``check_estimator``: what any Keras user may rely on, run
over each model of ``cases.py``. What a model computes is tested beside its
family.
"""

import copy
import functools
import importlib
import inspect
import itertools
import json
import pkgutil
import re

import contracts
import keras
import numpy as np
import pytest
from cases import CASE_OF, CASES, LABELS
from contracts import EAGERLY, json_form
from keras import ops

import utils
from utils import models
from utils.models.base import CourseModel

BACKEND = keras.backend.backend()
BATCH = 4
TAIL = {"rtol": 1e-4, "atol": 1e-6}

each_case = pytest.mark.parametrize(
    "case", CASES, ids=[case.name for case in CASES]
)

# ------------------------------------------------------------ who is in it


def trainable_classes():
    """Classes of Keras models that ``utils.models`` exports."""
    exported = (getattr(models, name) for name in models.__all__)
    return {cls for cls in exported if issubclass(cls, keras.Model)}


def test_every_exported_model_has_a_case():
    assert trainable_classes() <= {case.cls for case in CASES}
    assert len({case.name for case in CASES}) == len(CASES)


def test_cases_say_what_the_classes_say():
    for case in CASES:
        cls = case.cls
        assert cls.weighted == case.weighted, case.name
        assert cls.min_batch == case.min_batch, case.name
        labelled = cls.class_ids is not CourseModel.class_ids
        assert labelled == case.labelled, case.name


def course_classes():
    """Every class of Keras model that utils offers, or that models hides."""
    found = set()
    for info in pkgutil.walk_packages(utils.__path__, "utils."):
        module = importlib.import_module(info.name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            offered = "models" in info.name or not cls.__name__.startswith("_")
            if issubclass(cls, keras.Model) and cls.__module__ == info.name:
                found |= {cls} if offered else set()
    return found


def test_family_is_two_steps_from_keras_and_a_variant_three():
    for cls in course_classes() - {CourseModel}:
        between = cls.__mro__[: cls.__mro__.index(keras.Model)]
        ours = [c for c in between if c.__module__.startswith("utils")]
        assert ours[-1] is CourseModel, cls
        assert len(ours) <= 3, cls  # variant, family, CourseModel
        assert all(len(c.__bases__) == 1 for c in ours), cls
        assert not any(c.__name__.startswith("_") for c in ours), cls
        assert all(c.__module__.startswith(("utils", "keras")) for c in between)


@pytest.mark.parametrize(
    "name",
    [
        "fit",
        "evaluate",
        "predict",
        "train_step",
        "test_step",
        "get_config",
        "from_config",
        "save",
        "export",
    ],
)
def test_only_the_base_overrides(name):
    assert {c for c in course_classes() if name in vars(c)} <= {CourseModel}


# ---------------------------------------------------------- one model a case

KEPT = {}


def started(case):
    """The case's model as it was made, optimizer included.

    Made and compiled once; what it consists of is put back each time.
    """
    if case.name not in KEPT:
        model = case.model()
        if case.ready:
            case.ready(model)
        compiled(model)
        state = [*model.variables, *model.optimizer.variables]
        KEPT[case.name] = model, state, list(map(as_array, state))
    model, state, start = KEPT[case.name]
    for variable, value in zip(state, start, strict=True):
        variable.assign(value)
    model.stop_training = False
    return model


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.5),
        run_eagerly=EAGERLY,
        jit_compile=False if EAGERLY else "auto",
    )
    model.optimizer.build(model.trainable_variables)
    return model


def as_array(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def size_of(case):
    """Rows a batch: all, where each batch is drawn anew from its rows."""
    return 8 if case.cls is models.UnpairedTranslator else BATCH


def parts(x, rows):
    """The same rows of an array, or of each array of a dict."""
    return keras.tree.map_structure(lambda a: a[rows], x)


def batches_of(case, weights=None):
    size = size_of(case)
    slices = [slice(at, at + size) for at in range(0, 8, size)]
    whole = [part for part in (case.x, case.y, weights) if part is not None]
    if weights is not None and case.y is None:
        whole.insert(1, None)
    return [
        tuple(p if p is None else parts(p, rows) for p in whole)
        for rows in slices
    ]


class Batches(keras.utils.PyDataset):
    """Batches by their number."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


class Frame:
    """What is no array and can become one, as a data frame."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def mapped(case, function):
    """Arguments of ``fit`` with a function applied to each array."""
    x = keras.tree.map_structure(function, case.x)
    return (x,) if case.y is None else (x, function(case.y))


def arrays(case):
    return mapped(case, np.asarray)


def py_dataset(case):
    return (Batches(batches_of(case)),)


def generator(case):
    return (iter(batches_of(case)),)


def tensorflow_data(case):
    from tensorflow import data

    return (data.Dataset.from_tensor_slices(arrays(case)).batch(size_of(case)),)


def torch_loader(case):
    torch = pytest.importorskip("torch")
    rows = [tuple(parts(part, at) for part in arrays(case)) for at in range(8)]
    return (torch.utils.data.DataLoader(rows, batch_size=size_of(case)),)


NATIVE = tensorflow_data if BACKEND == "tensorflow" else torch_loader
CONTAINERS = [  # of the rows to train on, and of those held out
    (py_dataset, generator),
    (NATIVE, py_dataset),
    (generator, NATIVE),
]


def trained(case, train, held_out, **more):
    """Weights and losses after an epoch in the order of the rows."""
    model = started(case)
    if len(held_out) == 1 and not isinstance(held_out[0], dict):
        held_out = held_out[0]
    steps = 8 // size_of(case)
    history = model.fit(
        *train,
        batch_size=size_of(case),
        steps_per_epoch=steps,
        validation_data=held_out,
        validation_steps=steps,
        shuffle=False,
        verbose=0,
        **more,
    ).history
    return model.get_weights(), history


EXPECTED = {}


def expected(case):
    """What ``fit`` on arrays gives, with which all else is compared."""
    if case.name not in EXPECTED:
        EXPECTED[case.name] = trained(case, arrays(case), arrays(case))
    return EXPECTED[case.name]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, **TAIL)


@each_case
@pytest.mark.parametrize("train, held_out", CONTAINERS)
def test_same_rows_in_any_container_train_the_same(case, train, held_out):
    weights, history = trained(case, train(case), held_out(case))
    wanted, wanted_history = expected(case)
    assert_same(weights, wanted)
    assert history.keys() == wanted_history.keys()
    for name in ("loss", "val_loss"):
        assert history[name] == pytest.approx(wanted_history[name], rel=1e-4)


@each_case
def test_fit_moves_every_weight(case):
    model = started(case)
    start = model.get_weights()
    weights, history = expected(case)
    still = {
        weight.path
        for weight, a, b in zip(model.weights, start, weights, strict=True)
        if weight.trainable and np.array_equal(a, b)
    }
    assert not {path for path in still if not path.startswith(case.still)}
    assert np.isfinite(history["loss"]).all()


def from_pandas(values):
    """A frame or a column, if pandas is there and the array has that form."""
    pandas = pytest.importorskip("pandas")
    if values.ndim > 2:
        return values
    return (
        pandas.DataFrame(values) if values.ndim == 2 else pandas.Series(values)
    )


def as_lists(values):
    return values.tolist()


def flat(part):
    """The arrays of x or y by name."""
    if part is None:
        return {}
    return part if isinstance(part, dict) else {"": part}


@pytest.mark.parametrize("form", [as_lists, Frame, from_pandas])
def test_what_can_become_arrays_is_taken_as_arrays(form):
    for case in CASES:
        model = started(case)
        found = model.check_data(*mapped(case, form))
        wanted = model.check_data(*arrays(case))
        for a, b in zip(map(flat, found), map(flat, wanted), strict=True):
            assert a.keys() == b.keys(), case.name
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], case.name)
                assert a[name].dtype == b[name].dtype, case.name


@each_case
def test_call_without_data_gives_the_shapes_of_a_call_with_them(case):
    model = started(case)
    given = contracts.as_tensors(model.check_input(case.inputs))
    symbolic = model(
        keras.tree.map_structure(
            lambda a: keras.Input(
                tuple(a.shape[1:]),
                dtype=keras.backend.standardize_dtype(a.dtype),
            ),
            given,
        )
    )
    found = keras.tree.flatten(symbolic)
    wanted = keras.tree.flatten(model(given))
    for one, other in zip(found, wanted, strict=True):
        assert one.shape[0] is None
        assert tuple(one.shape[1:]) == tuple(other.shape[1:])
        dtype = keras.backend.standardize_dtype(other.dtype)
        assert keras.backend.standardize_dtype(one.dtype) == dtype


# ----------------------------------------------------------------- weights


@each_case
def test_rows_of_weight_zero_move_nothing(case):
    if not case.weighted:
        pytest.skip("refuses weights, as the next test shows")
    model = started(case)
    start = model.get_weights()
    model.fit(Batches(batches_of(case, np.zeros(8))), verbose=0)
    for before, after in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@each_case
def test_weights_without_a_meaning_are_refused_by_name(case):
    model = started(case)
    given = arrays(case)
    start = model.get_weights()
    if not case.weighted:
        for call in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match="^sample_weight: expected"):
                call(*given, sample_weight=np.ones(8), verbose=0)
        with pytest.raises(ValueError, match="^sample_weight: expected"):
            model.fit(Batches(batches_of(case, np.ones(8))), verbose=0)
    if not case.labelled:
        with pytest.raises(ValueError, match="^class_weight: expected"):
            model.fit(*given, class_weight={0: 1.0}, verbose=0)
    assert_same(model.get_weights(), start)


@each_case
def test_class_weight_is_the_weight_of_the_rows_of_a_class(case):
    if not case.labelled:
        pytest.skip("refuses it, as the test above shows")
    found = []
    for more in (
        {"class_weight": {0: 2.0, 1: 0.5}},
        {"sample_weight": np.array([2.0, 0.5, 1.0])[case.y]},
        {},
    ):
        model = started(case)
        model.fit(case.x, case.y, shuffle=False, verbose=0, **more)
        found.append(model.get_weights())
    assert_same(found[0], found[1])
    with pytest.raises(AssertionError):
        assert_same(found[0], found[2])


@pytest.fixture
def no_draws(monkeypatch):
    """Draws that are alike in all rows, so that rows can be counted."""
    constant = {
        "normal": lambda shape, mean=0.0, stddev=1.0, dtype="float32", **_: (
            ops.full(shape, mean + 0.3 * stddev, dtype)
        ),
        "uniform": lambda shape, minval=0.0, maxval=1.0, dtype="float32", **_: (
            ops.full(shape, 0.6 * minval + 0.4 * maxval, dtype)
        ),
    }
    for name, function in constant.items():
        monkeypatch.setattr(keras.random, name, function)
    for layer in (keras.layers.Dropout, keras.layers.GaussianNoise):
        monkeypatch.setattr(layer, "call", lambda self, x, training=False: x)


@each_case
def test_row_of_weight_two_counts_as_two_rows(case, no_draws):
    if not (case.weighted and case.repeats):
        pytest.skip("one row's part depends on the others, or none has weights")
    weight = np.array([2.0, 0.0, 1.0, 2.0, 0.0, 1.0, 1.0, 1.0])
    repeated = np.repeat(np.arange(8), weight.astype(int))
    assert len(repeated) == 8  # means over as many rows
    found = []
    for order, given in ((np.arange(8), weight), (repeated, None)):
        model = started(case)
        x, *y = (parts(part, order) for part in arrays(case))
        data = Batches([(x, *y)])
        if given is not None:
            data = Batches([(x, *(y or [None]), given)])
        # a step compiled by an earlier test holds its own draws
        was, model.train_function = model.run_eagerly, None
        model.run_eagerly = True
        model.fit(data, verbose=0)
        model.run_eagerly, model.train_function = was, None
        found.append(model.get_weights())
    assert_same(*found)


# ------------------------------------------------- callbacks, stopping, saving


class Diary(keras.callbacks.Callback):
    """Weights after each epoch."""

    def on_train_begin(self, logs=None):
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


@each_case
def test_early_stopping_restores_the_best_weights_of_a_split(case):
    model = started(case)
    diary = Diary()
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=9, restore_best_weights=True
    )
    losses = model.fit(
        *arrays(case),
        epochs=2,
        validation_split=0.25,
        callbacks=[diary, stop],
        verbose=0,
    ).history["val_loss"]
    best = diary.weights[int(np.argmin(losses))]
    assert_same(model.get_weights(), best)


def state_of(model):
    """What training goes on from; draws: neither weight nor a metric's."""
    known = {id(value) for value in model.weights}
    for metric in model.metrics:
        known |= {id(value) for value in metric.variables}
    return {
        "weights": model.weights,
        "optimizer": model.optimizer.variables,
        "generators": [v for v in model.variables if id(v) not in known],
    }


@each_case
def test_saved_model_goes_on_as_if_it_had_never_stopped(case, tmp_path):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    path, kept = tmp_path / "model.keras", {}

    def save(epoch, logs):
        if epoch == 0:
            model.save(path)
            for name, values in state_of(model).items():
                kept[name] = list(map(as_array, values))

    model = started(case)
    saving = keras.callbacks.LambdaCallback(on_epoch_end=save)
    model.fit(*arrays(case), epochs=2, callbacks=[saving], **options)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is case.cls
    assert json_form(loaded.get_config()) == json_form(model.get_config())
    for name, values in state_of(loaded).items():
        if name == "generators":  # which Keras does not save
            for value, ours in zip(values, kept[name], strict=True):
                value.assign(ours)
        assert_same(map(as_array, values), kept[name])
    loaded.run_eagerly, loaded.jit_compile = EAGERLY, not EAGERLY
    loaded.fit(*arrays(case), epochs=2, initial_epoch=1, **options)
    assert_same(loaded.get_weights(), model.get_weights())


@each_case
def test_config_is_json_and_makes_the_same_model(case):
    model = started(case)
    config = json.loads(json.dumps(model.get_config()))
    given = copy.deepcopy(config)
    again = case.cls.from_config(given)
    assert given == config  # and could be used again
    assert json_form(again.get_config()) == config
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@each_case
def test_half_precision_trains_and_keeps_float32_weights(case):
    model = compiled(case.model(dtype="mixed_bfloat16"))
    assert model.compute_dtype == "bfloat16"
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    options = {"batch_size": size_of(case), "shuffle": False, "verbose": 0}
    history = model.fit(*arrays(case), **options).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="writes a SavedModel")
@each_case
def test_exported_model_serves_what_predict_returns(case, tmp_path, no_draws):
    import tensorflow as tf

    model = case.model()
    wanted = model.predict(case.inputs, verbose=0)
    if case.cls in (models.Autoencoder, models.ConditionalGAN):
        compiled(model).fit(*arrays(case), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        exported = [model, loaded]
        wanted = model.predict(case.inputs, verbose=0)
    else:
        exported = [case.model()]  # never called
    for number, one in enumerate(exported):
        one.export(tmp_path / str(number), verbose=False)
        artifact = tf.saved_model.load(tmp_path / str(number))
        served = artifact.serve(model.check_input(case.inputs))
        contracts.assert_same_outputs(
            contracts.numpy_tree(served), contracts.numpy_tree(wanted)
        )


# --------------------------------------------------------------- bad input


def with_value(value):
    def damaged(a):
        a = a.astype("float64")
        a.flat[0] = value
        return a

    return damaged


def ragged(a):
    rows = a.tolist()
    rows[0] = [rows[0], rows[0]]
    return rows


def masked(a):
    return np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) == 0)


def sparse(a):
    scipy = pytest.importorskip("scipy.sparse")
    return scipy.csr_matrix(a.reshape(len(a), -1))


class TextFrame(Frame):
    """A data frame, one column of which is text."""

    columns = ("number", "town")

    def __getitem__(self, column):
        return np.array([0.0] if column == "number" else ["Ulm"])

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, object)


REFUSED = {  # whatever the model
    "rank too high": lambda a: a[..., None, None],
    "no axis": lambda a: a.flat[0],
    "NaN": with_value(np.nan),
    "infinite": with_value(-np.inf),
    "1e300": with_value(1e300),
    "text": lambda a: np.full(a.shape, "a"),
    "word": lambda a: "rows",
    "empty": lambda a: a[:0],
    "objects": lambda a: np.full(a.shape, object()),
    "numbers as objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype("complex64"),
    "masked": masked,
    "ragged": ragged,
    "frame with text": TextFrame,
    "dictionary": lambda a: {"rows": a},
    "number": lambda a: 3,
}
TAKEN_OR_REFUSED = {
    "None": lambda a: None,
    "another width": lambda a: a[..., :-1],
    "one row": lambda a: a[:1],
    "int8": lambda a: a.astype("int8"),
    "float16": lambda a: a.astype("float16"),
    "uint8 of 255": lambda a: np.full(a.shape, 255, "uint8"),
    "below 0": lambda a: a - 1,
    "sparse": sparse,
    "Fortran order": np.asfortranarray,
    "read-only": lambda a: np.broadcast_to(a[:1], a.shape),
}
WAYS = [*REFUSED, *TAKEN_OR_REFUSED]
MESSAGE = re.compile(
    r"(?P<name>[a-z_]+)(\['\w+'\])?(, batch \d+)?(, y)?: "
    r"expected .+; received .+\.$",
    re.S,
)


def leaves(argument):
    """Paths to the arrays of an argument: itself, or keys of a dict."""
    return list(argument) if isinstance(argument, dict) else [None]


def damaged(argument, leaf, damage):
    if leaf is None:
        return damage(argument)
    return {**argument, leaf: damage(argument[leaf])}


def assert_refused_or_done(call, way, about):
    """A finite result, or the library's own message."""
    about = f"{about}, {way}"
    try:
        result = call()  # pytest makes errors of warnings
    except ValueError as error:
        assert MESSAGE.match(str(error)), f"{about}: {error}"
        return
    except Exception as error:
        error.add_note(f"{about}: no ValueError of ours")
        raise
    assert way not in REFUSED, f"{about}: taken in silence"
    for value in keras.tree.flatten(result):
        if isinstance(value, np.ndarray) and way != "uint8 of 255":
            assert np.isfinite(value).all(), about


def bad_arguments(arguments, ways):
    """Each argument damaged in each way, the others as they are."""
    for at, argument in enumerate(arguments):
        if not isinstance(argument, (np.ndarray, dict)):
            continue
        for leaf in leaves(argument):
            for way in ways:
                damage = {**REFUSED, **TAKEN_OR_REFUSED}[way]
                given = list(arguments)
                given[at] = damaged(argument, leaf, damage)
                if way == "no axis" and one_for_all(arguments, at, leaf):
                    continue
                yield given, way, f"argument {at}, {leaf or 'array'}"


def one_for_all(arguments, at, leaf):
    """Whether a number would do: one class may stand for all rows."""
    return leaf == "labels" or arguments[at] is LABELS


@each_case
def test_verbs_refuse_bad_rows_in_our_words(case):
    model = started(case)
    for verb, arguments in case.verbs.items():
        for given, way, about in bad_arguments(arguments, WAYS):
            call = functools.partial(getattr(model, verb), *given)
            assert_refused_or_done(call, way, f"{verb}, {about}")


@each_case
def test_keras_s_methods_refuse_bad_rows_in_our_words(case):
    model = started(case)
    whole = (case.x,) if case.y is None else (case.x, case.y)
    for verb, arguments, ways in (
        ("fit", whole, REFUSED),
        ("evaluate", whole, REFUSED),
        ("check_data", whole, TAKEN_OR_REFUSED),  # all they do before a step
        ("predict", (case.inputs,), REFUSED),
        ("check_input", (case.inputs,), TAKEN_OR_REFUSED),
    ):
        more = {} if verb.startswith("check") else {"verbose": 0}
        for given, way, about in bad_arguments(arguments, ways):
            call = functools.partial(getattr(model, verb), *given, **more)
            assert_refused_or_done(call, way, f"{verb}, {about}")
    one = keras.tree.map_structure(lambda a: a[:1], whole)
    call = functools.partial(model.fit, *one, verbose=0)
    assert_refused_or_done(call, "one row", "fit")


@each_case
def test_bad_batch_is_named_by_its_number(case):
    model = started(case)
    good, bad = (batches_of(case) * 2)[:2]
    x = damaged(bad[0], leaves(bad[0])[0], with_value(np.nan))
    for call, more in ((model.fit, {"shuffle": False}), (model.evaluate, {})):
        with pytest.raises(ValueError, match=r"^x.*, batch 2.*: expected"):
            call(Batches([good, (x, *bad[1:])]), verbose=0, **more)


@each_case
def test_data_set_that_was_not_batched_is_asked_about(case):
    rows = [tuple(parts(p, at) for p in arrays(case)) for at in range(8)]
    model = started(case)
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"^x: expected .* was it batched"):
            call(Stream(rows), verbose=0)


class Stream:
    """An iterable with a length that is no list of rows."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)


@pytest.mark.parametrize("name", ["VAE", "VQVAE", "GAN", "MultVAE"])
def test_bytes_in_a_data_set_are_refused_with_the_batch(name):
    case = CASE_OF[name]
    model = started(case)
    x = case.x.astype("uint8")
    x[-1] = 255
    batches = [(x[:BATCH],), (x[BATCH:],)]
    expected = r"^x, batch 2: expected (values in \[0, 1\]|entries 0 or 1)"
    with pytest.raises(ValueError, match=expected):
        model.fit(Batches(batches), shuffle=False, verbose=0)


# ------------------------------------------------------------ bad arguments

NEVER = {
    "word": "no such thing",
    "NaN": np.nan,
    "1e300": 1e300,
    "array": np.zeros((2, 2)),
    "object": object(),
}
PERHAPS = {"None": None, "negative": -1}


def assert_argument_refused(make, given, name, way, value):
    """Not taken, or in words that begin with the argument's name."""
    about = f"{name}={way}"
    try:
        make(**{**given, name: value})
    except ValueError as error:
        words = rf"{name}(\[\d+\])?: expected .+; received .+\.$"
        assert re.match(words, str(error), re.S), f"{about}: {error}"
    except Exception as error:
        error.add_note(f"{about}: no ValueError of ours")
        raise
    else:
        assert way in PERHAPS, f"{about}: taken in silence"


def parameters(function):
    keras_s = {"self", "name", "dtype", "kwargs"}
    return [
        n for n in inspect.signature(function).parameters if n not in keras_s
    ]


@each_case
def test_class_method_and_constructor_refuse_bad_arguments_by_name(case):
    model = started(case)
    own = parameters(case.cls.__init__)
    make = getattr(case.cls, case.builder)
    of_networks = [name for name in parameters(make) if name not in own]
    kept = {name: getattr(model, name) for name in own}  # as every model does
    for called, given, names in (
        (make, case.arguments, of_networks),
        (case.cls, kept, own),
    ):
        for name, way in itertools.product(names, [*NEVER, *PERHAPS]):
            value = {**NEVER, **PERHAPS}[way]
            assert_argument_refused(called, given, name, way, value)
