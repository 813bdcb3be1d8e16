"""Catalogue of the data sets, and the reader of the full-size ones.

Arrays come from ``$COURSE_DATA/<name>.npz`` or ``keras.datasets``, are never
unpickled by the course, and are checked before anything uses them.
"""

import os
import pathlib
import struct
import tokenize
import zipfile
import zlib

import numpy as np

from utils.support import validation as check

__all__ = [
    "DATASETS",
    "check_rows",
    "read_full_size",
]

IMDB_WORDS = 10_000
IMDB_LENGTH = 200
# what NumPy and zipfile raise where bytes of a file are wrong
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    MemoryError,
    OverflowError,
    RuntimeError,  # NotImplementedError too: another compression
    struct.error,
    tokenize.TokenError,
)

_FASHION = (
    *"T-shirt trouser pullover dress coat sandal shirt sneaker bag".split(),
    "ankle boot",
)
_CIFAR = tuple(
    "airplane automobile bird cat deer dog frog horse ship truck".split()
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


def read_full_size(name):
    """Return the four raw arrays and where they came from."""
    folder = os.environ.get("COURSE_DATA")
    # absolute: a notebook's own folder is not where it was started
    path = pathlib.Path(folder, f"{name}.npz").absolute() if folder else None
    if path is not None and path.is_file():
        return _read_npz(name, path), f"COURSE_DATA/{name}.npz"
    import keras

    kwargs = {"num_words": IMDB_WORDS} if name == "imdb" else {}
    module = getattr(keras.datasets, name)
    try:
        train, test = module.load_data(**kwargs)
    except Exception as error:
        looked = str(path) if path else "COURSE_DATA (not set)"
        near = path.parent.glob(f"{name}*.npz") if path else ()
        hint = "".join(
            f"There is {other.name}: to use it, link it as {name}.npz, and "
            "say so beside its numbers. "
            for other in sorted(near)
        )
        raise FileNotFoundError(
            f"Data set {name!r} was not found. Looked at {looked}, then tried "
            f"to download it with keras.datasets.{name}: {error}. {hint}Put "
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
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        # opened here: NumPy leaves a damaged file open
        with open(path, "rb") as handle:
            file = np.load(handle, allow_pickle=False)
            if isinstance(file, np.ndarray):
                check.fail(f"{path}", "an .npz file", "a single array, .npy")
            for key in keys:
                if key not in file:
                    check.fail(
                        f"{path}",
                        f"arrays x_train, y_train, x_test, y_test for {name}",
                        f"only {', '.join(sorted(file.files)) or 'nothing'}",
                    )
                arrays[key] = file[key]
    except DAMAGE as error:
        if str(path) in str(error):  # already said what is wrong
            raise
        if "allow_pickle" not in str(error):
            raise ValueError(
                f"{path}: expected a complete .npz file; received one that is "
                f"damaged or truncated ({type(error).__name__}: {error}). "
                "Copy or download it again."
            ) from error
        raise ValueError(
            f"{path}: expected plain arrays; received pickled Python objects, "
            "which can run code when opened, so the course does not open "
            "them. For imdb, remove the file and let keras.datasets fetch "
            "its own checked copy, or store padded token ids."
        ) from error
    return arrays


def check_rows(name, part, raw, source):
    """Check one official split and bring it to the documented form."""
    kind, event_shape, classes = DATASETS[name]
    x, y = raw[f"x_{part}"], np.asarray(raw[f"y_{part}"])
    label = f"{source}: x_{part}"
    for value, key in ((raw[f"x_{part}"], "x"), (y, "y")):
        if (
            not hasattr(value, "__len__")
            or not np.ndim(value)
            or not len(value)
        ):
            check.fail(f"{source}: {key}_{part}", "rows", f"{value!r:.40}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    y = check.check_labels(y, f"{source}: y_{part}", num_rows=len(x))
    if y.min() < 0 or y.max() >= len(classes):
        expected = f"labels from 0 to {len(classes) - 1}"
        check.fail(f"{source}: y_{part}", expected, f"{y.min()} to {y.max()}")
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
            received = f"shape {rows.shape}, dtype {rows.dtype}"
            check.fail(label, "integer token ids (rows, length)", received)
    padded = np.zeros((len(rows), IMDB_LENGTH), dtype="int32")
    for index, row in enumerate(rows):
        ids = np.asarray(row[:IMDB_LENGTH], dtype="int32")
        padded[index, : len(ids)] = ids
    if padded.min() < 0 or padded.max() >= IMDB_WORDS:
        expected = f"token ids from 0 to {IMDB_WORDS - 1}"
        check.fail(label, expected, f"{padded.min()} to {padded.max()}")
    return padded
