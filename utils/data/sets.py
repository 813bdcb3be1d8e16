"""Data sets of the course as NumPy arrays, bundled first.

Images are float32 in [0, 1] with shape ``(n, height, width, channels)``;
tables are float32 ``(n, features)`` in their original units; labels are
int64 ``(n,)`` and are there for evaluation, never for unsupervised training.
"""

import dataclasses

import numpy as np

from utils.data.full_size import DATASETS, check_rows, read_full_size
from utils.data.toy import TOY_MAKERS
from utils.support import validation as check

__all__ = ["DATASETS", "Dataset", "corrupt", "load", "make_toy"]


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
        raw, source = read_full_size(name)
        x_test, y_test = check_rows(name, "test", raw, source)
        x, y = check_rows(name, "train", raw, source)
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
    # train_test_split(stratify=y) draws others: every committed number moves
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
    check.check_choice(name, "name", tuple(TOY_MAKERS))
    n = check.check_int(n, "n", minimum=10)
    seed = check.check_int(seed, "seed", minimum=0)
    if noise is not None:
        noise = check.check_number(noise, "noise", 0.0)
    rng = np.random.default_rng(seed)
    maker, default = TOY_MAKERS[name]
    x, y = maker(n, default if noise is None else noise, rng)
    return x.astype("float32"), y.astype("int64")


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
