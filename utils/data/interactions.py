"""Who used what: interaction and rating matrices as NumPy arrays.

Rows are users, columns are items. *Implicit* feedback is 1 where an
interaction was seen and 0 where none was: a 0 is no dislike. *Explicit*
feedback is a rating with a mask of the entries that were observed.
"""

import csv
import dataclasses
import io
import os
import pathlib

import numpy as np

from utils.support import validation as check
from utils.support.files import check_frozen

__all__ = [
    "Interactions",
    "Ratings",
    "Sequences",
    "load_calls",
    "load_imports",
    "load_movielens",
    "make_ratings",
]

FROZEN = pathlib.Path(__file__).parent / "frozen"
CHECKSUMS = {  # SHA-256 of the text with Unix line ends
    "stdlib_calls.csv": (
        "870f2d768f4b89006751e8c8732e2bb0b67a3d65d9d937fe3c4f173cca5bdb55"
    ),
    "stdlib_imports.csv": (
        "42509e5fe2adcd991335cc76259b7bf2f40bb53fabb6acbc23f4d2b2848f9683"
    ),
    "stdlib_summaries.csv": (
        "2a21c2e8a4b3a80444e3c6760eb151280b0683a4cf29084ecff14500bacd3608"
    ),
}
LINE = "four tab-separated integers: user ≥ 1, item ≥ 1, rating 1 to 5, time"


@dataclasses.dataclass(frozen=True)
class Interactions:
    """Implicit feedback.

    Attributes:
        matrix: Float32 ``(users, items)`` of 0 and 1.
        users: Name of each row.
        items: Name of each column.
        texts: Description of each item, which may be empty.
        source: Where the rows came from.
    """

    matrix: np.ndarray
    users: tuple
    items: tuple
    texts: tuple
    source: str


@dataclasses.dataclass(frozen=True)
class Ratings:
    """Explicit feedback.

    Attributes:
        values: Float32 ``(users, items)``; 0 where nothing was observed.
        observed: Booleans of the same shape.
        times: Int64 seconds since 1970 of each rating, 0 where none was
            observed; ``None`` if there are no times.
        source: Where the ratings came from.
    """

    values: np.ndarray
    observed: np.ndarray
    times: np.ndarray | None
    source: str

    def pairs(self, where=None):
        """Observed entries as a list.

        Args:
            where: Booleans ``(users, items)``; ``None`` takes all observed.

        Returns:
            ``(pairs, values)``: int32 ``(n, 2)`` of user and item, float32
            ``(n,)``.
        """
        where = self.observed if where is None else where
        pairs = np.argwhere(where).astype("int32")
        return pairs, self.values[where]


@dataclasses.dataclass(frozen=True)
class Sequences:
    """What users did, in order.

    Attributes:
        events: One int64 array of items a user, earliest first.
        users: Name of each sequence.
        items: Name of each item.
        source: Where they came from, and what the order is.
    """

    events: tuple
    users: tuple
    items: tuple
    source: str

    def matrix(self):
        """Which user has which item, and since when.

        Returns:
            ``(x, first)``: float32 ``(users, items)`` of 0 and 1, and int64 of
            the same shape with the place of an item's first event, 0 where
            there is none.
        """
        shape = (len(self.events), len(self.items))
        x, first = np.zeros(shape, "float32"), np.zeros(shape, "int64")
        for user, events in enumerate(self.events):
            found, place = np.unique(events, return_index=True)
            x[user, found], first[user, found] = 1.0, place
        return x, first


def _read_table(name):
    """Rows of a frozen table, header checked off, content verified."""
    text = (FROZEN / name).read_bytes().replace(b"\r\n", b"\n")
    check_frozen(text, CHECKSUMS[name], name)
    return list(csv.reader(io.StringIO(text.decode("utf-8"))))[1:]


def load_imports():
    """Which modules of Python's standard library import which others.

    Real implicit feedback, small enough to stand in the repository: users are
    the 1 219 modules of Python 3.11.7 that import anything, its own tests
    included; items are the 193 top-level names they import.
    ``frozen/stdlib_imports.md`` tells the provenance and licence.

    Returns:
        :class:`Interactions`; ``texts`` are first paragraphs of docstrings.

    Raises:
        ValueError: the file's checksum is not that of the frozen one.
    """
    rows = _read_table("stdlib_imports.csv")
    items, texts = zip(*_read_table("stdlib_summaries.csv"), strict=True)
    column = {name: index for index, name in enumerate(items)}
    matrix = np.zeros((len(rows), len(items)), dtype="float32")
    for index, (_, found) in enumerate(rows):
        matrix[index, [column[name] for name in found.split()]] = 1.0
    users = tuple(name for name, _ in rows)
    return Interactions(
        matrix, users, items, texts, "imports within Python 3.11.7"
    )


def load_calls():
    """Which library functions each module of Python's library calls, in order.

    Real behaviour of programmers: 688 modules of Python 3.11.7, its own tests
    included, and for each its first calls (at most 40) of 276 functions and
    classes of other modules. The order is that of the *lines of the file*, the
    one in which a reader meets them; when each was written, nobody recorded.
    ``frozen/stdlib_calls.md`` tells the provenance.

    Returns:
        :class:`Sequences`.

    Raises:
        ValueError: the file's checksum is not that of the frozen one.
    """
    rows = _read_table("stdlib_calls.csv")
    calls = [found.split() for _, found in rows]
    items = sorted({item for found in calls for item in found})
    column = {name: index for index, name in enumerate(items)}
    events = tuple(
        np.array([column[item] for item in found]) for found in calls
    )
    users = tuple(name for name, _ in rows)
    source = "calls in Python 3.11.7's library, in order of the lines"
    return Sequences(events, users, tuple(items), source)


def load_movielens(path=None):
    """Ratings of MovieLens 100K, from its file ``u.data``.

    The file is not part of the course and is never downloaded: its terms ask
    every user to fetch it from GroupLens (Harper and Konstan 2015). Users and
    items keep the order of their numbers; numbers that do not occur get no
    row or column.

    Args:
        path: The file; ``None`` looks for ``u.data``, then
            ``ml-100k/u.data`` in the folder ``COURSE_DATA``.

    Returns:
        :class:`Ratings`, 943 × 1 682 for the full file.

    Raises:
        FileNotFoundError: no such file; the message names where it looked.
        ValueError: a line that is not user, item, rating, time, or rates a
            pair again; the message gives its number.
    """
    path = _find_movielens() if path is None else pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"path: expected a file u.data; found no {path}."
        )
    entries, seen = [], {}
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            entry = _read_line(line, path.name, number)
            first = seen.setdefault(entry[:2], number)
            if first != number:
                expected = "each user to rate an item once"
                received = f"the pair of line {first} again"
                check.fail(f"{path.name}, line {number}", expected, received)
            entries.append(entry)
    if not entries:
        check.fail(path.name, "at least one line", "an empty file")
    user, item, rating, time = np.array(entries, dtype="int64").T
    users, row = np.unique(user, return_inverse=True)
    items, column = np.unique(item, return_inverse=True)
    shape = (len(users), len(items))
    values, times = np.zeros(shape, "float32"), np.zeros(shape, "int64")
    observed = np.zeros(shape, dtype=bool)
    values[row, column], times[row, column] = rating, time
    observed[row, column] = True
    return Ratings(values, observed, times, "MovieLens 100K")


def _find_movielens():
    folder = os.environ.get("COURSE_DATA")
    looked = []
    if folder:
        for name in ("u.data", "ml-100k/u.data"):
            looked.append(pathlib.Path(folder) / name)
            if looked[-1].is_file():
                return looked[-1]
    places = " and ".join(map(str, looked)) or "COURSE_DATA (not set)"
    raise FileNotFoundError(
        f"MovieLens 100K was not found. Looked at {places}. Fetch ml-100k.zip "
        "from grouplens.org, unpack it, and set COURSE_DATA to the folder that "
        "holds u.data; or use make_ratings, which needs no file."
    )


def _read_line(line, name, number):
    """One entry as a tuple of four integers."""
    fields = line.rstrip("\r\n").split("\t")
    if len(fields) != 4 or not all(
        field.isascii() and field.isdigit() for field in fields
    ):
        check.fail(f"{name}, line {number}", LINE, repr(line.rstrip("\r\n")))
    entry = tuple(map(int, fields))
    if entry[0] < 1 or entry[1] < 1 or not 1 <= entry[2] <= 5:
        check.fail(f"{name}, line {number}", LINE, repr(line.rstrip("\r\n")))
    return entry


def make_ratings(
    num_users=300, num_items=120, *, rank=4, share=0.15, noise=0.35, seed=0
):
    """Synthetic ratings of low rank, whose true values are known.

    A mean of 3.5, a leaning of each user and item, and a product of ``rank``
    factors each, plus Gaussian noise; clipped to 1 … 5, not rounded. Popular
    items are rated more often.

    Args:
        num_users: Number of rows ≥ 10.
        num_items: Number of columns ≥ 10.
        rank: Width of the factors ≥ 1.
        share: Share of observed entries in (0, 1]. Every user and every item
            has at least two.
        noise: Standard deviation ≥ 0 of the noise on observed values.
        seed: Integer ≥ 0.

    Returns:
        :class:`Ratings` without times.

    Raises:
        ValueError: a size or share out of range.
    """
    num_users = check.check_int(num_users, "num_users", 10)
    num_items = check.check_int(num_items, "num_items", 10)
    rank = check.check_int(rank, "rank")
    share = check.check_number(share, "share", 0.0, 1.0)
    noise = check.check_number(noise, "noise", 0.0)
    if share * num_items < 2 or share * num_users < 2:
        check.fail("share", "two ratings for each user and item", f"{share}")
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    users = rng.standard_normal((num_users, rank))
    items = rng.standard_normal((num_items, rank))
    true = 3.5 + 0.7 * users @ items.T / np.sqrt(rank)
    true += 0.4 * rng.standard_normal((num_users, 1))
    true += 0.4 * rng.standard_normal((1, num_items))
    popularity = rng.gamma(2.0, size=num_items)
    chance = np.clip(share * popularity / popularity.mean(), 0.02, 1.0)
    observed = rng.random(true.shape) < chance
    for axis in (0, 1):  # at least two each
        order = rng.random(true.shape).argsort(axis=axis)
        short = observed.sum(axis=axis, keepdims=True) < 2
        observed |= short & (order < 2)
    values = np.clip(true + noise * rng.standard_normal(true.shape), 1, 5)
    values = np.where(observed, values, 0.0).astype("float32")
    return Ratings(
        values, observed, None, f"synthetic ratings of rank {rank}, seed {seed}"
    )
