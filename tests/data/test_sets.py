"""Data sets: splits, files, errors. Tiny files stand in for real ones."""

import os
import pickle
import zipfile

import keras
import numpy as np
import pytest
import sklearn.datasets
from stand_ins import TEST, TRAIN, fake

from utils import data
from utils.data import toy

BUNDLED = ("digits", "iris", "breast_cancer")
FULL_SIZE = ("mnist", "fashion_mnist", "cifar10", "imdb")
SPLITS = ("train", "val", "test")


# ---------------------------------------------------------------- bundled


@pytest.mark.parametrize("name", BUNDLED)
class TestBundled:
    def test_bundled_splits_are_disjoint_and_complete(self, name):
        raw = getattr(sklearn.datasets, f"load_{name}")()
        x, y = data.load(name).flat().all_rows()
        scale = 16 if name == "digits" else 1
        found = np.column_stack([x.astype("float64") * scale, y])
        rows = raw.data.astype("float32").astype("float64")
        wanted = np.column_stack([rows, raw.target])
        order, expected = np.lexsort(found.T), np.lexsort(wanted.T)
        np.testing.assert_allclose(found[order], wanted[expected], rtol=1e-6)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_bundled_splits_keep_class_shares(self, name, seed):
        loaded = data.load(name, seed=seed)
        _, y = loaded.all_rows()
        total = np.bincount(y)
        shares = {"train": 0.65, "val": 0.15, "test": 0.20}
        for split, share in shares.items():
            counts = np.bincount(getattr(loaded, f"y_{split}"))
            # rounding a class up or down moves it by at most one row twice
            assert np.abs(counts - share * total).max() <= 1.5

    def test_bundled_same_seed_same_rows_other_seed_others(self, name):
        first, again, other = (data.load(name, seed=s) for s in (3, 3, 4))
        np.testing.assert_array_equal(first.x_test, again.x_test)
        np.testing.assert_array_equal(first.y_train, again.y_train)
        assert not np.array_equal(first.x_test, other.x_test)

    def test_bundled_arrays_have_the_documented_form(self, name):
        loaded = data.load(name)
        assert loaded.name == name
        assert loaded.source == "scikit-learn"
        assert loaded.event_shape == data.DATASETS[name][1]
        for split in SPLITS:
            x = getattr(loaded, f"x_{split}")
            y = getattr(loaded, f"y_{split}")
            assert x.dtype == np.float32
            assert y.dtype == np.int64
            assert len(x) == len(y)
            assert np.isfinite(x).all()
            assert set(y) == set(range(len(loaded.classes)))
        if loaded.features:
            assert len(loaded.features) == loaded.x_train.shape[1]

    def test_bundled_limit_cuts_training_rows_only(self, name):
        whole, cut = data.load(name), data.load(name, limit=20)
        np.testing.assert_array_equal(cut.x_train, whole.x_train[:20])
        np.testing.assert_array_equal(cut.y_train, whole.y_train[:20])
        np.testing.assert_array_equal(cut.x_test, whole.x_test)
        np.testing.assert_array_equal(cut.x_val, whole.x_val)


def test_digits_pixels_fill_the_unit_interval():
    x, _ = data.load("digits").all_rows()
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_flat_reshapes_rows_without_changing_them():
    loaded = data.load("digits")
    flat = loaded.flat()
    assert flat.event_shape == (64,)
    np.testing.assert_array_equal(
        flat.x_val.reshape(loaded.x_val.shape), loaded.x_val
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"name": "MNIST"}, "name: expected one of 'digits', 'iris'"),
        ({"name": "cifar100"}, "name: expected one of"),
        ({"name": None}, "name: expected one of"),
        ({"name": "iris", "seed": -1}, "seed: expected an integer ≥ 0"),
        ({"name": "iris", "seed": 0.5}, "seed"),
        ({"name": "iris", "limit": 5}, "limit: expected an integer ≥ 10"),
        ({"name": "iris", "limit": True}, "limit"),
    ],
)
def test_load_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.load(**arguments)


# ----------------------------------------------------- full-size, from file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty COURSE_DATA, and no way to download."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    for name in FULL_SIZE:

        def refuse(*args, **kwargs):
            raise OSError("no network in tests")

        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", refuse)
    return tmp_path


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_file_gives_the_official_test_split(name, folder, rng):
    raw = fake(name, rng)
    np.savez(folder / f"{name}.npz", **raw)
    loaded = data.load(name)
    assert loaded.source == f"COURSE_DATA/{name}.npz"
    np.testing.assert_array_equal(loaded.y_test, raw["y_test"].ravel())
    if name == "imdb":
        expected = np.zeros((TEST, 200), "int32")
        expected[:, :150] = raw["x_test"]
        assert loaded.x_test.dtype == np.int32
        np.testing.assert_array_equal(loaded.x_test, expected)
    else:
        pixels = raw["x_test"].reshape(-1, *loaded.event_shape)
        assert loaded.x_test.dtype == np.float32
        np.testing.assert_allclose(loaded.x_test, pixels / 255.0, rtol=1e-6)
        assert 0 <= loaded.x_train.min() <= loaded.x_train.max() <= 1


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_validation_is_a_tenth_of_the_training_rows(
    name, folder, rng
):
    raw = fake(name, rng)
    np.savez(folder / f"{name}.npz", **raw)
    loaded = data.load(name, seed=1)
    classes = len(loaded.classes)
    per_class = TRAIN // classes
    held_out = classes * round(0.1 * per_class)
    assert len(loaded.x_val) == held_out
    rows = np.concatenate([loaded.x_train, loaded.x_val])
    assert len(rows) == TRAIN
    official = data.load(name, seed=2)
    again = np.concatenate([official.x_train, official.x_val])
    rows, again = (r.reshape(TRAIN, -1) for r in (rows, again))
    np.testing.assert_array_equal(
        rows[np.lexsort(rows.T)], again[np.lexsort(again.T)]
    )
    assert len(np.unique(rows, axis=0)) == TRAIN


def test_full_size_limit_cuts_training_rows_only(folder, rng):
    np.savez(folder / "mnist.npz", **fake("mnist", rng))
    loaded = data.load("mnist", limit=10)
    assert len(loaded.x_train) == 10
    assert len(loaded.x_test) == TEST


def test_full_size_long_reviews_are_cut_to_one_length(folder, rng):
    raw = fake("imdb", rng)
    raw["x_test"] = rng.integers(1, 10_000, (TEST, 300))
    np.savez(folder / "imdb.npz", **raw)
    loaded = data.load("imdb")
    np.testing.assert_array_equal(loaded.x_test, raw["x_test"][:, :200])


def test_full_size_without_file_comes_from_keras(folder, rng, monkeypatch):
    raw = fake("cifar10", rng)
    pairs = tuple((raw[f"x_{p}"], raw[f"y_{p}"]) for p in ("train", "test"))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: pairs)
    loaded = data.load("cifar10")
    assert loaded.source == "keras.datasets.cifar10"
    np.testing.assert_array_equal(loaded.y_test, raw["y_test"].ravel())


def test_imdb_from_keras_ragged_lists_are_padded(folder, rng, monkeypatch):
    def reviews(num_words):
        assert num_words == 10_000
        rows = np.empty(40, dtype=object)
        for index in range(40):
            rows[index] = list(range(1, 6 + 10 * index))
        return (rows, np.arange(40) % 2), (rows, np.arange(40) % 2)

    monkeypatch.setattr(keras.datasets.imdb, "load_data", reviews)
    x = data.load("imdb").x_test
    assert x[0].tolist() == [1, 2, 3, 4, 5] + [0] * 195
    assert x[39].tolist() == list(range(1, 201))


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_found_nowhere_error_says_where_it_looked(name, folder):
    with pytest.raises(FileNotFoundError) as raised:
        data.load(name)
    message = str(raised.value)
    assert repr(name) in message
    assert str(folder / f"{name}.npz") in message
    assert f"keras.datasets.{name}" in message
    assert "quick profile" in message
    assert "no network in tests" in message


def test_full_size_found_under_another_name_is_pointed_at(folder, rng):
    np.savez(folder / "cifar10_subset.npz", **fake("cifar10", rng))
    told = r"There is cifar10_subset\.npz: to use it, link it as cifar10\.npz"
    with pytest.raises(FileNotFoundError, match=told):
        data.load("cifar10")


def test_full_size_without_course_data_error_says_it_is_not_set(
    folder, monkeypatch
):
    monkeypatch.delenv("COURSE_DATA")
    with pytest.raises(FileNotFoundError, match=r"COURSE_DATA \(not set\)"):
        data.load("mnist")


def test_missing_set_is_never_replaced_by_another(folder, rng):
    np.savez(folder / "mnist.npz", **fake("mnist", rng))
    with pytest.raises(FileNotFoundError, match="'fashion_mnist'"):
        data.load("fashion_mnist")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickled_file_refused_and_nothing_unpickled(folder, rng):
    raw = fake("mnist", rng)
    mark = folder / "unpickled"
    raw["x_test"] = np.array([Bomb(mark)] * TEST, dtype=object)
    np.savez(folder / "mnist.npz", **raw)
    with pytest.raises(ValueError, match="mnist.npz: .* pickled Python"):
        data.load("mnist")
    assert not mark.exists()
    # the bomb is live: NumPy itself sets it off when pickles are allowed
    with np.load(folder / "mnist.npz", allow_pickle=True) as file:
        assert len(file["x_test"]) == TEST
    assert mark.exists()


def _write(folder, raw):
    np.savez(folder / "mnist.npz", **raw)
    return folder / "mnist.npz"


def _truncate(folder, raw):
    path = _write(folder, raw)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_bytes(folder, raw):
    path = _write(folder, raw)
    content = bytearray(path.read_bytes())
    content[5000:5064] = bytes(64)
    path.write_bytes(content)


def _flip_compressed(folder, raw):
    zeros = {name: np.zeros_like(value) for name, value in raw.items()}
    path = folder / "mnist.npz"
    np.savez_compressed(path, **{**zeros, "x_train": raw["x_train"]})
    content = bytearray(path.read_bytes())
    content[5000:5064] = bytes(range(64))
    path.write_bytes(content)


def _single_array(folder, raw):
    with open(folder / "mnist.npz", "wb") as file:
        np.save(file, raw["x_train"])


def _without(key):
    return lambda folder, raw: _write(
        folder, {name: value for name, value in raw.items() if name != key}
    )


def _with(**changes):
    def spoil(folder, raw):
        changed = {name: make(raw[name]) for name, make in changes.items()}
        _write(folder, {**raw, **changed})

    return spoil


def _plain_pickle(folder, raw):
    (folder / "mnist.npz").write_bytes(pickle.dumps([1, 2, 3]))


def _wrong_zip(folder, raw):
    with zipfile.ZipFile(folder / "mnist.npz", "w") as file:
        file.writestr("x_train.npy", b"not an array")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_truncate, "damaged or truncated"),
        (_flip_bytes, "damaged or truncated"),
        (_flip_compressed, "damaged or truncated"),
        (_single_array, "an .npz file; received a single array"),
        (lambda f, raw: (f / "mnist.npz").write_bytes(b""), "damaged or trun"),
        (_plain_pickle, "mnist.npz: expected"),
        (_wrong_zip, "mnist.npz: expected"),
        (_without("y_test"), "expected arrays x_train, y_train, x_test, y_te"),
        (_with(x_train=lambda x: x / 255.0), "uint8 pixels .* dtype float64"),
        (_with(x_test=lambda x: x.astype("int64")), "x_test: .* dtype int64"),
        (_with(x_train=lambda x: x[:, :27]), r"rows of shape \(28, 28, 1\)"),
        (_with(x_test=lambda x: x.reshape(20, -1)), "x_test: expected rows"),
        (_with(y_train=lambda y: y + 1), "labels from 0 to 9; received 1 to"),
        (_with(y_train=lambda y: y.astype("int8") - 1), "labels from 0 to 9"),
        (_with(y_test=lambda y: y.astype(float)), "y_test: expected integer"),
        (_with(y_test=lambda y: y[:-1]), "y_test: expected 20 labels"),
        (_with(y_test=lambda y: np.eye(10)[y]), "y_test: expected a vector"),
    ],
    ids=[
        "truncated",
        "overwritten",
        "overwritten_compressed",
        "single_array",
        "empty",
        "pickle_file",
        "zip_of_text",
        "array_missing",
        "already_scaled",
        "wrong_type",
        "wrong_height",
        "flattened",
        "labels_too_high",
        "labels_negative",
        "labels_float",
        "labels_too_few",
        "labels_one_hot",
    ],
)
def test_spoilt_file_refused_by_name(spoil, match, folder, rng):
    spoil(folder, fake("mnist", rng))
    with pytest.raises(ValueError, match=match) as raised:
        data.load("mnist")
    assert "mnist.npz" in str(raised.value)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x: x + 10_000, "token ids from 0 to 9999"),
        (lambda x: -x, "token ids from 0 to 9999"),
        (lambda x: x / 2, "integer token ids .* dtype float64"),
        (lambda x: x[:, 0], "integer token ids"),
    ],
)
def test_imdb_wrong_tokens_refused(make, match, folder, rng):
    raw = fake("imdb", rng)
    np.savez(folder / "imdb.npz", **{**raw, "x_test": make(raw["x_test"])})
    with pytest.raises(ValueError, match=match):
        data.load("imdb")


# ------------------------------------------------------- toy sets, damage

TOYS = {
    "moons": (2, 2),
    "rings": (2, 2),
    "gaussians": (2, 8),
    "line": (2, 2),
    "swiss_roll": (3, 5),
    "subspace": (20, 1),
}


@pytest.mark.parametrize("name", TOYS)
def test_toy_form_and_seed(name):
    x, y = data.make_toy(name, 203, seed=1)
    width, classes = TOYS[name]
    assert (x.shape, x.dtype) == ((203, width), np.float32)
    assert (y.shape, y.dtype) == ((203,), np.int64)
    assert set(y) == set(range(classes))
    again, _ = data.make_toy(name, 203, seed=1)
    other, _ = data.make_toy(name, 203, seed=2)
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, other)


def test_toy_rings_without_noise_lie_on_two_circles():
    x, y = data.make_toy("rings", 50, noise=0)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), y + 1, rtol=1e-6)


def test_toy_gaussians_without_noise_are_eight_points_on_radius_two():
    x, y = data.make_toy("gaussians", 80, noise=0)
    assert len(np.unique(x.round(5), axis=0)) == 8
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 2, rtol=1e-6)
    for label in range(8):
        assert len(np.unique(x[y == label], axis=0)) == 1


def test_toy_line_without_noise_has_rank_one():
    x, y = data.make_toy("line", 50, noise=0)
    np.testing.assert_allclose(x[:, 0], 2 * x[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(y, x[:, 0] > 0)


def test_toy_moons_without_noise_lie_on_two_half_circles():
    x, y = data.make_toy("moons", 60, noise=0)
    centers = np.where(y[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    radius = np.linalg.norm(x - centers, axis=1)
    np.testing.assert_allclose(radius, 1, rtol=1e-5)
    assert (x[y == 0, 1] >= 0).all()
    assert (x[y == 1, 1] <= 0.5 + 1e-6).all()


def test_toy_swiss_roll_labels_follow_the_roll():
    x, y = data.make_toy("swiss_roll", 300)
    along = np.hypot(x[:, 0], x[:, 2])  # the radius grows along the roll
    assert (np.diff(along[np.argsort(y, kind="stable")]) < 0).mean() < 0.5
    for label in range(4):
        assert along[y == label].max() <= along[y == label + 1].min()


@pytest.mark.parametrize("seed", range(3))
def test_toy_subspace_has_five_directions_and_a_clear_gap(seed):
    x, _ = data.make_toy("subspace", 500, seed=seed)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    assert values[4] > 3 * values[5]
    clean, _ = data.make_toy("subspace", 500, noise=0, seed=seed)
    assert np.linalg.matrix_rank(clean, tol=1e-2) == 5


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"name": "spiral"}, "name: expected one of 'moons'"),
        ({"name": "moons", "n": 9}, "n: expected an integer ≥ 10"),
        ({"name": "moons", "noise": -1}, "noise: expected a number ≥ 0"),
        ({"name": "moons", "seed": -1}, "seed"),
    ],
)
def test_toy_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.make_toy(**arguments)


def test_corrupt_gaussian_adds_noise_of_the_stated_deviation():
    x = np.full((300, 400), 0.5)
    noise = data.corrupt(x, "gaussian", 1.5, seed=1) - 0.5
    # 120 000 draws: standard error 0.2 % of the deviation
    assert noise.std() == pytest.approx(1.5, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.dtype == np.float32
    assert len(np.unique(noise, axis=0)) == 300


def test_corrupt_masking_zeroes_the_stated_share_and_keeps_the_rest():
    x = np.full((300, 400), 0.5)
    damaged = data.corrupt(x, "masking", 0.3, seed=1)
    assert np.mean(damaged == 0) == pytest.approx(0.3, abs=0.008)
    assert set(np.unique(damaged)) == {0.0, 0.5}
    assert damaged.dtype == np.float32


@pytest.mark.parametrize("kind", ["gaussian", "masking"])
def test_corrupt_same_seed_same_damage_and_x_untouched(kind, rng):
    x = rng.random((20, 8, 8, 1)).astype("float32")
    kept = x.copy()
    first, again, other = (
        data.corrupt(x, kind, 0.5, seed=s) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(data.corrupt(x, kind, 0.0), x)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "salt"}, "kind: expected one of"),
        ({"amount": -0.1}, "amount: expected a number ≥ 0"),
        ({"kind": "masking", "amount": 1.5}, "amount: expected a number from"),
        ({"x": [[np.nan]]}, "x: expected finite"),
        ({"seed": -1}, "seed"),
    ],
)
def test_corrupt_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.corrupt(**{"x": [[0.0, 1.0]], **arguments})


def test_density_of_the_moons_integrates_to_one_and_is_that_of_the_draws():
    side = np.arange(-1.6, 2.6, 0.04)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    p = np.exp(toy.moons_log_density(grid))
    assert p.sum() * 0.04**2 == pytest.approx(1.0, abs=1e-3)
    x, _ = data.make_toy("moons", 20_000, seed=0)
    for box in ((-1.2, -0.8, 0.0, 0.4), (0.8, 1.2, -0.72, -0.4)):

        def inside(points, box=box):
            left, right, low, high = box
            across = (points[:, 0] > left) & (points[:, 0] < right)
            return across & (points[:, 1] > low) & (points[:, 1] < high)

        mass = p[inside(grid)].sum() * 0.04**2
        # deviation of a share of 20 000 draws: .002
        assert inside(x).mean() == pytest.approx(mass, abs=0.01)


def test_density_of_the_moons_by_another_integral():
    x = np.array([[0.0, 1.0], [1.0, -0.5], [0.5, 0.3]])
    t = (np.arange(20_000) + 0.5) * np.pi / 20_000
    upper = np.stack([np.cos(t), np.sin(t)], 1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)
    curve = np.concatenate([upper, lower])
    squared = ((x[:, None] - curve) ** 2).sum(axis=2)
    p = np.exp(-squared / (2 * 0.2**2)).mean(axis=1) / (2 * np.pi * 0.2**2)
    found = toy.moons_log_density(x, noise=0.2)
    np.testing.assert_allclose(found, np.log(p), rtol=1e-6)
    with pytest.raises(ValueError, match="noise: expected a number ≥ 0.02"):
        toy.moons_log_density(x, noise=0.01)
    with pytest.raises(ValueError, match="x: expected shape"):
        toy.moons_log_density(np.zeros((3, 3)))
