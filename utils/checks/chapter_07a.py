"""Checks of chapter 7a, exact likelihood one pixel at a time."""

import inspect

import numpy as np
from scipy.special import logsumexp
from scipy.stats import logistic

from utils.checks._feedback import (
    as_array,
    as_number,
    as_parts,
    as_values,
    call,
    correct,
    in_half,
    kind,
    name_value,
    one_sentence,
    reached,
    unchanged,
    wrong,
)


@one_sentence
def check_7a_1(answer):
    """Bits per dimension, and passes: 1.92, 8, 5.43, 24."""
    names = ("a", "b", "c", "d")
    parts = as_parts(answer, *names)
    found = {
        name: as_number(part, f"({name})")
        for name, part in zip(names, parts, strict=True)
    }
    right = {"a": 85 / 64 / np.log(2), "b": 8.0, "c": 7.84 * np.log(2), "d": 24}
    mistakes = {
        "a": [
            (85 / 64, "(a) is in nats per dimension: divide by log 2 too."),
            (
                85 / np.log(2),
                "(a) is in bits an image: divide by the 64 dimensions too.",
            ),
            (
                85 * np.log(2) / 64,
                "(a): a nat is more than a bit, 1/log 2 = 1.44 of them: "
                "divide by log 2.",
            ),
        ],
        "b": [
            (
                np.log(256),
                "(b) is in nats; the question is for bits: log₂ 256.",
            ),
            (256.0, "(b): 256 is the number of levels; what does one cost?"),
            (
                np.log2(255),
                "(b): the levels are 0 to 255, which makes 256 of them.",
            ),
        ],
        "c": [
            (7.84, "(c) is in bits an image: a bit is log 2 = 0.69 nats."),
            (
                7.84 / np.log(2),
                "(c): you divided by log 2; from bits to nats one multiplies.",
            ),
            (
                0.01 * np.log(2),
                "(c) is for one dimension; an image has 784 of them.",
            ),
        ],
        "d": [
            (64, "(d): 64 passes draw a whole image; 40 pixels are known."),
            (40, "(d): 40 pixels are known; passes are for the others."),
            (3, "(d): a pass for each row is too few: each pixel needs one."),
            (
                1,
                "(d): one pass gives all factors only if all pixels are there.",
            ),
        ],
    }
    for name in names:
        # what two decimals tell; 8 and 24 are exact
        slack = 0.003 if name in "ac" else 1e-4
        if abs(found[name] - right[name]) > slack * right[name]:
            name_value(found[name], mistakes[name])
            wrong(
                f"({name}) is not {found[name]:g}. Bits per dimension are "
                "nats an image, divided by d · log 2; a draw takes a pass for "
                "each unknown pixel."
            )
    correct(
        "7a.1",
        "How many bits per dimension does zip need for the same images?",
    )


@one_sentence
def check_7a_2(function):
    """The two masks of a masked network with one hidden layer."""
    rng = np.random.default_rng(0)
    for order, units in (
        ([0, 1, 2], [0, 1, 0, 1]),
        ([2, 0, 1], [0, 1, 1]),
        ([3, 0, 4, 1, 2], [0, 1, 2, 3, 0, 2]),
        (rng.permutation(7), rng.integers(0, 6, 9)),
    ):
        given = np.array(order), np.array(units)
        result = call(function, *given)
        first, last = as_parts(result, "first", "last")
        size, count = len(order), len(units)
        first = as_array(first, "first", shape=(size, count))
        last = as_array(last, "last", shape=(count, size))
        place = np.empty(size, int)
        place[order] = np.arange(size)
        reached("shape")
        _judge_masks(first, last, place, np.array(order), np.array(units))
        unchanged(given, (order, units), "the order or the units")
    correct(
        "7a.2",
        "With the same number for all units, which outputs stay blind?",
    )


def _judge_masks(first, last, place, order, units):
    """Reject a pair of masks with the reason."""
    if not np.isin(first, (0, 1)).all() or not np.isin(last, (0, 1)).all():
        wrong("Masks hold True and False, or 1 and 0, and nothing else.")
    good = place[:, None] <= units, units[:, None] < place
    if np.array_equal(first, good[0]) and np.array_equal(last, good[1]):
        return
    inverse = order[:, None] <= units, units[:, None] < order
    if np.array_equal(first, inverse[0]) and np.array_equal(last, inverse[1]):
        wrong(
            "You compare with the order itself. `order[k]` says who comes "
            "k-th; a mask needs the place of each entry, the inverse "
            "permutation, np.argsort(order)."
        )
    if np.array_equal(last, units[:, None] <= place):
        wrong(
            "The mask `last` is off by one: a unit that sees places up to m "
            "may speak to places above m, not to m itself."
        )
    if np.array_equal(first, place[:, None] < units):
        wrong(
            "The mask `first` is off by one: a unit with number m sees the "
            "places 0 to m, m included."
        )
    if np.array_equal(first, ~good[0]) or np.array_equal(last, ~good[1]):
        wrong("A mask is turned round: True is where a weight may stay.")
    paths = first @ last > 0
    before = place[:, None] < place
    if (paths & ~before).any():
        j, i = np.argwhere(paths & ~before)[0]
        wrong(
            f"There is a path from entry {j} to output {i}, in the order "
            f"{order.tolist()}, in which it does not come earlier."
        )
    wrong(
        "No output looks ahead, but some allowed connection is closed: "
        f"compare your masks for the order {order.tolist()} and the units "
        f"{units.tolist()} with a drawing."
    )


@one_sentence
def check_7a_3(function):
    """The mask of a convolution that looks back."""
    drawn = 2 * int(np.random.default_rng(0).integers(4, 40)) + 1
    for size in (3, 5, 1, 7, drawn):
        for own in (False, True):
            mask = as_array(
                call(function, size, own), "The mask", shape=(size, size)
            )
            right = np.zeros((size, size))
            right[: size // 2] = 1
            right[size // 2, : size // 2] = 1
            other = right.copy()
            right[size // 2, size // 2] = own
            other[size // 2, size // 2] = not own
            if np.array_equal(mask, right):
                continue
            reached("shape")
            if size == 1:
                wrong(
                    "A kernel of side 1 is the pixel itself: 1 if `own`, 0 "
                    f"if not; yours is {mask.ravel()[0]:g} for own={own}."
                )
            causal = np.tri(size)
            name_value(
                mask,
                [
                    (
                        other,
                        "The middle is the wrong way round: it is open only "
                        "if `own`.",
                    ),
                    (
                        right[::-1, ::-1],
                        "Your kernel looks at what comes *after* the pixel. "
                        "Row 0 of a kernel lies above the middle.",
                    ),
                    (
                        right.T,
                        "Rows and columns are exchanged: images are read row "
                        "by row.",
                    ),
                    (
                        causal,
                        "A lower triangle is the mask of a dense layer. In a "
                        "kernel all rows above the middle are open.",
                    ),
                    (
                        1 - right,
                        "The mask is turned round: True is where a weight "
                        "may stay.",
                    ),
                ],
            )
            wrong(
                f"Not the mask of size {size} with own={own}. Open are the "
                f"{size // 2} rows above the middle one, and in it what is "
                "left of the middle."
            )
    correct("7a.3", "How many 3 × 3 layers see an image of 28 columns whole?")


@one_sentence
def check_7a_4(function):
    """The probabilities of grey levels under a logistic distribution."""
    rng = np.random.default_rng(0)
    for location, scale, levels in (
        (0.4, 0.2, 5),
        (0.97, 0.03, 17),
        (-0.3, 0.1, 3),
        (0.5, 5.0, 2),
        (
            rng.uniform(0.2, 0.8),
            rng.uniform(0.05, 0.5),
            int(rng.integers(4, 12)),
        ),
    ):
        given = call(function, location, scale, levels)
        p = as_values(given, "The probabilities", shape=(levels,))
        grid = np.arange(levels) / (levels - 1)
        half = 0.5 / (levels - 1)
        curve = logistic(location, scale)
        edges = np.concatenate([[-np.inf], grid[1:] - half, [np.inf]])
        right = np.diff(curve.cdf(edges))
        if np.allclose(p, right, atol=5e-4 if in_half(given) else 1e-5):
            continue
        inside = curve.cdf(grid + half) - curve.cdf(grid - half)
        wider = logistic.cdf(edges, location, 2 * scale)
        reached("shape")
        name_value(
            p,
            [
                (
                    inside,
                    "The first and the last level lack their tails: your "
                    f"probabilities sum to {inside.sum():.3f}.",
                ),
                (
                    inside / inside.sum(),
                    "You divided by the sum. That is a distribution, another "
                    "one: the tails belong to the first and the last level.",
                ),
                (
                    curve.pdf(grid) / (levels - 1),
                    "That is the density times a width: close for broad "
                    "curves, no probability for narrow ones. Take "
                    "differences of the distribution function.",
                ),
                (
                    curve.pdf(grid),
                    "That is the density. A level gets the *mass* within "
                    "half a level of it.",
                ),
                (
                    curve.pdf(grid) / max(curve.pdf(grid).sum(), 1e-30),
                    "A density at the levels, divided by its sum, is another "
                    "distribution. Take the mass within half a level.",
                ),
                (
                    np.diff(wider),
                    "Half a level is 0.5/(K − 1) in these units, and the "
                    "logistic is σ((x − location)/scale).",
                ),
                (right[::-1], "The levels run from 0 upwards; yours fall."),
            ],
        )
        if abs(p.sum() - 1) > 1e-4:
            wrong(
                f"For location {location:g}, scale {scale:g} and {levels} "
                f"levels your probabilities sum to {p.sum():.4f}, not to 1."
            )
        wrong(
            "They sum to 1 and are not right. The edges between the levels "
            "lie halfway: (k + ½)/(K − 1)."
        )
    correct(
        "7a.4", "Which scale makes level 8 of 17 as likely as all the others?"
    )


@one_sentence
def check_7a_5(function):
    """Log of the mean probability, for numbers as small as e^−2000."""
    rng = np.random.default_rng(0)
    usual = np.log(rng.uniform(0.05, 0.9, (3, 6)))
    single = -np.array([[5.0, 7.0]])
    for log_p in (usual, single, usual[:2] - 2000.0):
        lent = log_p.copy()
        given = call(function, lent)
        unchanged((lent,), (log_p,), "the array")
        found = as_values(
            given, "Your result", finite=False, shape=log_p.shape[1:]
        )
        right = logsumexp(log_p, axis=0) - np.log(len(log_p))
        reached("shape")
        if not np.isfinite(found).all():
            wrong(
                "At 2 000 nats a probability is 0 in 64 bits and its logarithm "
                "−∞. Take the largest logarithm out first, or use "
                "np.logaddexp.reduce."
            )
        if np.allclose(found, right, rtol=1e-5, atol=1e-6):
            continue
        name_value(
            found,
            [
                (
                    log_p.mean(axis=0),
                    "That is the mean of the logarithms, a geometric mean: "
                    "its probabilities sum to less than 1.",
                ),
                (
                    log_p.max(axis=0),
                    "That is the best model of each row: its probabilities "
                    "sum to more than 1.",
                ),
                (
                    logsumexp(log_p, axis=0),
                    "That is the log of the *sum*: divide by the number of "
                    "models.",
                ),
                (
                    np.exp(right),
                    "Those are probabilities; return their logarithm.",
                ),
                (
                    log_p.sum(axis=0),
                    "That is the product: the models are not asked all at "
                    "once, one of them is drawn.",
                ),
                (
                    -right,
                    "The sign: return the log-probability, not its cost.",
                ),
            ],
        )
        if in_half(given) and np.allclose(found, right, rtol=1e-3):
            wrong(
                "In half precision −2 000.7 becomes −2 001: return float32 or "
                "float64."
            )
        wrong(
            "Not the log of the mean probability: for each row "
            "log 1/M Σ exp(log p), over the M models."
        )
    correct("7a.5", "When does an ensemble beat each of its models?")


def _honest(rng, d):
    """A masked network with a tanh, in NumPy."""
    weight = np.triu(rng.uniform(0.3, 1.0, (d, d)), 1)
    return lambda x: np.tanh(np.asarray(x, "float64") @ weight)


def _networks(rng):
    """Name, dimensions, network and the pairs that look ahead."""
    honest = _honest(rng, 5)

    def own(x):  # the mask is off by one
        return honest(x) + 0.5 * np.asarray(x, "float64")

    def one(x):
        out = honest(x).copy()
        out[:, 1] += 0.3 * np.tanh(np.asarray(x, "float64")[:, 4])
        return out

    def asleep(x):  # a ReLU that is silent around 0
        out = honest(x).copy()
        out[:, 0] += np.maximum(np.asarray(x, "float64")[:, 2], 0.0)
        return out

    def gated(x):  # seen only where entry 0 is not 0
        out, x = honest(x).copy(), np.asarray(x, "float64")
        out[:, 1] += x[:, 0] * x[:, 3]
        return out

    yield "honest", 5, honest, set()
    yield "off by one", 5, own, {(i, i) for i in range(5)}
    yield "one pair", 5, one, {(1, 4)}
    yield "a ReLU", 5, asleep, {(0, 2)}
    yield "a product", 5, gated, {(1, 3)}
    yield "one entry", 1, lambda x: np.zeros(np.shape(x)), set()


@one_sentence
def check_7a_6(function):
    """Pairs (i, j) of which output i depends on a later entry j."""
    for name, d, network, right in _networks(np.random.default_rng(1)):
        found = _as_pairs(call(function, network, d))
        if found == right:
            continue
        if found == {(j, i) for i, j in right}:
            wrong("Your pairs are turned round: first the output, then entry.")
        if name == "off by one" and not found:
            wrong(
                "A network whose mask is off by one passes: output i must not "
                "depend on entry i itself, so j = i counts."
            )
        if any(j < i for i, j in found):
            wrong(
                "You list pairs with j < i: those are what the network is "
                "for. Asked are the pairs with j ≥ i."
            )
        if name == "a ReLU":
            wrong(
                "You missed a path through a ReLU, which sleeps on one side: "
                "try several base rows and larger changes."
            )
        if name == "a product" and not found:
            wrong(
                "You missed a product of two entries, of which nothing is "
                "seen while the other is 0: try several base rows."
            )
        extra, missing = sorted(found - right), sorted(right - found)
        wrong(
            f"A network that should give {sorted(right)}: you "
            f"{'miss' if missing else 'add'} {(missing or extra)[:3]}."
        )
    correct("7a.6", "How many calls does a network of 784 entries need?")


def _as_pairs(value):
    """A set of pairs of integers from any container of pairs."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (bool, np.bool_)):
        wrong("Return the pairs themselves, not whether there are any.")
    if isinstance(value, (dict, zip)) or inspect.isgenerator(value):
        value = list(value)
    if not isinstance(value, str) and hasattr(value, "__len__"):
        if not len(value):
            return set()
    pairs = as_values(value, "The pairs")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        wrong(
            "Return pairs (i, j), a set or list of tuples; received "
            f"{kind(value)}."
        )
    return {(int(i), int(j)) for i, j in pairs}


@one_sentence
def check_7a_7(function):
    """Rows drawn entry by entry, with a call for each entry."""
    order = [2, 0, 1, 3]
    calls, blank = [], []

    def chances(x):
        x = as_values(x, "What you give to `chances`", finite=False)
        if not np.isfinite(x).all():
            blank.append(True)
            x = np.nan_to_num(x)
        if x.ndim != 2 or x.shape[1] != 4:
            wrong(f"`chances` takes rows (n, 4); you gave shape {x.shape}.")
        calls.append(len(x))
        p = np.empty((len(x), 4))
        p[:, 2] = 0.3
        p[:, 0] = np.where(x[:, 2] > 0, 0.9, 0.2)  # as entry 2 is
        p[:, 1] = np.where(x[:, 0] > 0, 0.8, 0.1)  # as entry 0 is
        p[:, 3] = np.where(x[:, 1] + x[:, 2] == 1, 0.95, 0.05)
        return p

    n = 4000
    result = call(function, chances, list(order), n, np.random.default_rng(0))
    x = as_array(result, "Your rows", shape=(n, 4))
    reached("shape")
    if blank:
        wrong(
            "You give `chances` rows with NaN: it takes binary rows. Entries "
            "not yet drawn may be 0, the network does not look at them."
        )
    if not np.isin(x, (0, 1)).all():
        wrong("Rows hold 0 and 1: compare a uniform number with the chance.")
    if len(calls) > 4:
        wrong(
            f"{len(calls)} calls of `chances` for four entries: all rows take "
            "a step together, and each entry needs one call."
        )
    if len(calls) == 1:
        wrong(
            "One call gives every entry its chance given a row of zeros: the "
            "entries do not know each other. Draw one, then ask again."
        )
    chance = 0.3 * 0.9 + 0.7 * 0.2
    tests = {
        "entry 2 is 1 with chance 0.3": (x[:, 2], 0.3, np.ones(n, bool)),
        "entry 0 follows entry 2": (x[:, 0], 0.9, x[:, 2] == 1),
        "entry 1 follows entry 0": (x[:, 1], 0.8, x[:, 0] == 1),
        "entry 3 follows entries 1 and 2": (
            x[:, 3],
            0.95,
            x[:, 1] + x[:, 2] == 1,
        ),
    }
    for name, (values, wanted, rows) in tests.items():
        found = values[rows].mean() if rows.any() else np.nan
        if not abs(found - wanted) < 0.06:
            natural = abs(x[:, 0].mean() - 0.2) < 0.03
            hint = (
                " You went 0, 1, 2, 3: `order` says who comes first."
                if natural and abs(x[:, 0].mean() - chance) > 0.1
                else ""
            )
            wrong(
                f"In your rows it does not hold that {name}: a share of "
                f"{found:.2f} instead of {wanted}.{hint}"
            )
    pairs = (x[1:], x[:-1]), (x[n // 2 :], x[: n // 2])
    if max((a == b).all(axis=1).mean() for a, b in pairs) > 0.9:
        wrong("Rows are repeated, or sorted: every row is drawn anew.")
    reached("values")
    again = call(function, chances, list(order), n, np.random.default_rng(1))
    if np.array_equal(as_array(again, "Your rows"), x):
        wrong(
            "Another generator gives the same rows: draw from the `rng` that "
            "the function is given."
        )
    correct("7a.7", "Which two calls could be saved for independent entries?")
