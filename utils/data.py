"""Data sets of the course as NumPy arrays, bundled first.

Images are float32 in [0, 1] with shape ``(n, height, width, channels)``;
tables are float32 ``(n, features)`` in their original units; labels are
int64 ``(n,)`` and are there for evaluation, never for unsupervised training.
"""

import dataclasses
import os
import pathlib
import zipfile

import numpy as np

from utils import _validation as check

__all__ = ["DATASETS", "Dataset", "corrupt", "load", "make_toy"]

IMDB_WORDS = 10_000
IMDB_LENGTH = 200

TOY_SETS = ("moons", "rings", "gaussians", "line", "swiss_roll", "subspace")

_FASHION = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_CIFAR = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_NUMERALS = tuple("0123456789")

# name -> (kind, event shape, classes)
DATASETS = {
    "digits": ("bundled", (8, 8, 1), _NUMERALS),
    "iris": ("bundled", (4,), ("setosa", "versicolor", "virginica")),
    "breast_cancer": ("bundled", (30,), ("malignant", "benign")),
    "mnist": ("images", (28, 28, 1), _NUMERALS),
    "fashion_mnist": ("images", (28, 28, 1), _FASHION),
    "cifar10": ("images", (32, 32, 3), _CIFAR),
    "imdb": ("text", (IMDB_LENGTH,), ("negative", "positive")),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Training, validation and test rows of one data set.

    Fit on ``x_train``, choose on ``x_val``, report on ``x_test`` once.

    Attributes:
        name: Name given to :func:`load`.
        x_train, x_val, x_test: Float32 arrays (int32 token ids for imdb).
        y_train, y_val, y_test: Int64 labels, for evaluation.
        classes: Name of each label.
        features: Name of each column of a table; empty for images and text.
        source: Where the rows came from.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple
    features: tuple = ()
    source: str = ""

    @property
    def event_shape(self):
        """Shape of one row."""
        return self.x_train.shape[1:]

    def flat(self):
        """Return the same data set with each row flattened to a vector."""
        return dataclasses.replace(
            self,
            x_train=self.x_train.reshape(len(self.x_train), -1),
            x_val=self.x_val.reshape(len(self.x_val), -1),
            x_test=self.x_test.reshape(len(self.x_test), -1),
        )

    def all_rows(self):
        """Return ``(x, y)`` of the three splits stacked."""
        x = np.concatenate([self.x_train, self.x_val, self.x_test])
        y = np.concatenate([self.y_train, self.y_val, self.y_test])
        return x, y


def load(name, *, seed=0, limit=None):
    """Load a data set by name, split into training, validation and test.

    The bundled sets are split 65 / 15 / 20 with equal class shares. The
    full-size sets keep their official test split; a tenth of the official
    training rows becomes the validation split.

    Args:
        name: One of ``DATASETS``. ``digits``, ``iris`` and ``breast_cancer``
            ship with scikit-learn. The others are read from
            ``$COURSE_DATA/<name>.npz`` if that file exists, else from
            ``keras.datasets``; a data set is never replaced by another.
        seed: Integer ≥ 0, of the split.
        limit: Keep at most this many training rows; ``None`` keeps all.

    Returns:
        A :class:`Dataset`.

    Raises:
        ValueError: unknown name, or a file whose arrays are missing, pickled,
            truncated, or of the wrong shape, type or range.
        FileNotFoundError: a full-size set that is neither in ``COURSE_DATA``
            nor can be downloaded.
    """
    check.check_choice(name, "name", tuple(DATASETS))
    seed = check.check_int(seed, "seed", minimum=0)
    if limit is not None:
        limit = check.check_int(limit, "limit", minimum=10)
    kind, _, classes = DATASETS[name]
    rng = np.random.default_rng(seed)
    features = ()
    if kind == "bundled":
        x, y, features = _load_bundled(name)
        source = "scikit-learn"
        train, test = _split(y, 0.20, rng)
        inner_train, inner_val = _split(y[train], 0.15 / 0.80, rng)
        train, val = train[inner_train], train[inner_val]
        x_train, y_train = x[train], y[train]
        x_val, y_val = x[val], y[val]
        x_test, y_test = x[test], y[test]
    else:
        raw, source = _read_full_size(name)
        x_test, y_test = _check_rows(name, "test", raw, source)
        x, y = _check_rows(name, "train", raw, source)
        train, val = _split(y, 0.10, rng)
        x_train, y_train = x[train], y[train]
        x_val, y_val = x[val], y[val]
    return Dataset(
        name=name,
        x_train=x_train[:limit],
        y_train=y_train[:limit],
        x_val=x_val,
        y_val=y_val,
        x_test=x_test,
        y_test=y_test,
        classes=classes,
        features=features,
        source=source,
    )


def _split(y, fraction, rng):
    """Shuffled indices of two parts with equal class shares."""
    first, second = [], []
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        cut = round(fraction * len(rows))
        second.append(rows[:cut])
        first.append(rows[cut:])
    return (
        rng.permutation(np.concatenate(first)),
        rng.permutation(np.concatenate(second)),
    )


def _load_bundled(name):
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    x, features = bunch.data.astype("float32"), tuple(bunch.feature_names)
    if name == "digits":
        x, features = (x / 16.0).reshape(-1, 8, 8, 1), ()
    return x, bunch.target.astype("int64"), features


def _read_full_size(name):
    """Return the four raw arrays and where they came from."""
    folder = os.environ.get("COURSE_DATA")
    path = pathlib.Path(folder) / f"{name}.npz" if folder else None
    if path is not None and path.is_file():
        return _read_npz(name, path), f"COURSE_DATA/{name}.npz"
    import keras

    kwargs = {"num_words": IMDB_WORDS} if name == "imdb" else {}
    module = getattr(keras.datasets, name)
    try:
        train, test = module.load_data(**kwargs)
    except Exception as error:
        looked = str(path) if path else "COURSE_DATA (not set)"
        raise FileNotFoundError(
            f"Data set {name!r} was not found. Looked at {looked}, then tried "
            f"to download it with keras.datasets.{name}: {error}. Put "
            f"{name}.npz into a folder and set COURSE_DATA to it, connect to "
            "the internet, or unset COURSE_PROFILE: the quick profile needs "
            "neither."
        ) from error
    raw = dict(
        zip(
            ("x_train", "y_train", "x_test", "y_test"),
            train + test,
            strict=True,
        )
    )
    return raw, f"keras.datasets.{name}"


def _read_npz(name, path):
    """Read the four arrays of a ``.npz`` file without unpickling anything."""
    arrays = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in ("x_train", "y_train", "x_test", "y_test"):
                if key not in file:
                    check.fail(
                        f"{path}",
                        f"arrays x_train, y_train, x_test, y_test for {name}",
                        f"only {', '.join(sorted(file.files)) or 'nothing'}",
                    )
                arrays[key] = file[key]
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(
            f"{path}: expected a complete .npz file; received one that is "
            f"damaged or truncated ({error}). Copy or download it again."
        ) from error
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise ValueError(
            f"{path}: expected plain arrays; received pickled Python objects, "
            "which can run code when opened, so the course does not open "
            "them. For imdb, remove the file and let keras.datasets fetch "
            "its own checked copy, or store padded token ids."
        ) from error
    return arrays


def _check_rows(name, part, raw, source):
    """Check one official split and bring it to the documented form."""
    kind, event_shape, classes = DATASETS[name]
    x, y = raw[f"x_{part}"], np.asarray(raw[f"y_{part}"])
    label = f"{source}: x_{part}"
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    y = check.check_labels(y, f"{source}: y_{part}", num_rows=len(x))
    if y.min() < 0 or y.max() >= len(classes):
        check.fail(
            f"{source}: y_{part}",
            f"labels from 0 to {len(classes) - 1}",
            f"{y.min()} to {y.max()}",
        )
    if kind == "text":
        return _check_tokens(x, label), y
    if x.dtype != np.uint8:
        check.fail(label, "uint8 pixels from 0 to 255", f"dtype {x.dtype}")
    if x.ndim == 3 and event_shape[-1] == 1:
        x = x[..., None]
    if x.shape[1:] != event_shape:
        check.fail(label, f"rows of shape {event_shape}", f"shape {x.shape}")
    x = x.astype("float32")
    x /= 255.0
    return x, y


def _check_tokens(rows, label):
    """Cut or pad token rows at the end with 0 to one length, as int32."""
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        if rows.ndim != 2 or rows.dtype.kind not in "iu":
            check.fail(
                label,
                "integer token ids (rows, length)",
                f"shape {rows.shape}, dtype {rows.dtype}",
            )
    padded = np.zeros((len(rows), IMDB_LENGTH), dtype="int32")
    for index, row in enumerate(rows):
        ids = np.asarray(row[:IMDB_LENGTH], dtype="int32")
        padded[index, : len(ids)] = ids
    if padded.min() < 0 or padded.max() >= IMDB_WORDS:
        check.fail(
            label,
            f"token ids from 0 to {IMDB_WORDS - 1}",
            f"{padded.min()} to {padded.max()}",
        )
    return padded


def make_toy(name, n=1000, *, noise=None, seed=0):
    """Draw a toy set whose structure is known.

    Args:
        name: ``"moons"`` two half circles; ``"rings"`` two circles;
            ``"gaussians"`` eight blobs on a circle of radius 2;
            ``"line"`` a line in the plane plus noise (labels: halves);
            ``"swiss_roll"`` a rolled-up sheet in three dimensions (labels:
            five stretches along the roll); ``"subspace"`` a five-dimensional
            Gaussian in twenty dimensions plus noise, with a clear gap in its
            spectrum (labels: all 0).
        n: Number of rows ≥ 10.
        noise: Standard deviation ≥ 0; ``None`` takes the set's default.
        seed: Integer ≥ 0.

    Returns:
        ``(x, y)``: float32 ``(n, d)`` and int64 ``(n,)``.

    Raises:
        ValueError: unknown name, too few rows, negative noise.
    """
    check.check_choice(name, "name", TOY_SETS)
    n = check.check_int(n, "n", minimum=10)
    seed = check.check_int(seed, "seed", minimum=0)
    if noise is not None:
        noise = check.check_number(noise, "noise", 0.0)
    rng = np.random.default_rng(seed)
    maker, default = _TOY_MAKERS[name]
    x, y = maker(n, default if noise is None else noise, rng)
    return x.astype("float32"), y.astype("int64")


def _moons(n, noise, rng):
    y = np.arange(n) % 2
    t = rng.uniform(0, np.pi, n)
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=1)
    x = np.where(y[:, None] == 0, upper, lower)
    return x + noise * rng.standard_normal(x.shape), y


def _rings(n, noise, rng):
    y = np.arange(n) % 2
    t = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 0, 1.0, 2.0)[:, None]
    x = radius * np.stack([np.cos(t), np.sin(t)], axis=1)
    return x + noise * rng.standard_normal(x.shape), y


def _gaussians(n, noise, rng):
    y = np.arange(n) % 8
    t = 2 * np.pi * y / 8
    x = 2.0 * np.stack([np.cos(t), np.sin(t)], axis=1)
    return x + noise * rng.standard_normal(x.shape), y


def _line(n, noise, rng):
    t = rng.uniform(-1, 1, n)
    x = t[:, None] * np.array([[2.0, 1.0]])
    return x + noise * rng.standard_normal(x.shape), t > 0


def _swiss_roll(n, noise, rng):
    u = rng.uniform(0, 1, n)
    t = 1.5 * np.pi * (1 + 2 * u)
    x = np.stack([t * np.cos(t), 21 * rng.uniform(0, 1, n), t * np.sin(t)], 1)
    return x + noise * rng.standard_normal(x.shape), np.floor(5 * u)


def _subspace(n, noise, rng):
    basis, _ = np.linalg.qr(rng.standard_normal((20, 5)))
    codes = rng.standard_normal((n, 5)) * np.array([3.0, 2.5, 2.0, 1.6, 1.3])
    x = codes @ basis.T
    return x + noise * rng.standard_normal(x.shape), np.zeros(n)


_TOY_MAKERS = {
    "moons": (_moons, 0.08),
    "rings": (_rings, 0.08),
    "gaussians": (_gaussians, 0.1),
    "line": (_line, 0.1),
    "swiss_roll": (_swiss_roll, 0.0),
    "subspace": (_subspace, 0.3),
}


def corrupt(x, kind="gaussian", amount=0.3, *, seed=0):
    """Return a damaged copy of ``x``, for evaluation with fixed damage.

    Args:
        x: Array ``(n, …)``.
        kind: ``"gaussian"`` adds N(0, amount²) to every entry, without
            clipping; ``"masking"`` sets each to 0 with probability
            ``amount``.
        amount: Standard deviation ≥ 0 or probability in [0, 1].
        seed: Integer ≥ 0. Every row gets its own noise.

    Returns:
        Float32 array of the shape of ``x``.

    Raises:
        ValueError: unknown kind, amount out of range, NaN in ``x``.
    """
    x = check.check_array(x, "x")
    check.check_choice(kind, "kind", ("gaussian", "masking"))
    high = 1.0 if kind == "masking" else None
    amount = check.check_number(amount, "amount", 0.0, high)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    if kind == "gaussian":
        noise = rng.standard_normal(x.shape, dtype="float32")
        return x + np.float32(amount) * noise
    return x * (rng.random(x.shape, dtype="float32") >= amount)
