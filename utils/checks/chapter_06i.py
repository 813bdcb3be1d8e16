"""Checks of the exercises of chapter 6i: pieces, a cipher, a language."""

import itertools

import numpy as np
from keras import ops

from utils.checks._feedback import (
    as_array,
    as_number,
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
from utils.data import corpora

MOST = 1000  # pieces of an answer


@one_sentence
def check_6i_1(answer):
    """Bits per character of both models, perplexity of the first."""
    value = as_array(answer, "Your answer", (3,))
    pieces, characters = 5.2 / 2.24 / np.log(2), 1.9 / np.log(2)
    named = {
        0: (
            (5.2, "That is the price of a *piece*, in nats: divide by 2.24."),
            (5.2 / np.log(2), "Bits per piece; a piece has 2.24 characters."),
            (5.2 / 2.24, "Nats per character; divide by log 2 for bits."),
            (5.2 * 2.24 / np.log(2), "Divide by the characters a piece."),
            (5.2 / 2.24 * np.log(2), "Divide by log 2, do not multiply."),
        ),
        1: (
            (1.9, "That is in nats; divide by log 2."),
            (1.9 * np.log(2), "Divide by log 2, do not multiply."),
            (1.9 / 2.24 / np.log(2), "The second model reads characters."),
        ),
        2: (
            (np.exp(5.2), "That is the perplexity per *piece*."),
            (np.exp(pieces), "Bits belong to 2: 2 to their power."),
            (2**5.2, "5.2 are nats, and a piece's."),
        ),
    }
    right = (pieces, characters, 2**pieces)
    for place, told in named.items():
        name_value(value[place : place + 1], told)
        if not np.isclose(value[place], right[place], rtol=5e-3):
            word = ("first", "second", "third")[place]
            wrong(
                f"The {word} number is not {value[place]:g}. Nats of a whole "
                "text, divided by log 2 and by its characters, are bits per "
                "character."
            )
    correct("6i.1", "Which of the two would you compress your notes with?")


def _as_pieces(value, what):
    """A sequence of strings as a tuple."""
    if isinstance(value, str):
        wrong(
            f"{what} should be a sequence of pieces, not one text: what was "
            "glued is one piece, all others stay apart."
        )
    if hasattr(value, "shape"):  # an array, a tensor or a variable
        value = np.ravel(ops.convert_to_numpy(value)).tolist()
    try:
        pieces = tuple(itertools.islice(value, MOST + 1))
    except TypeError:
        wrong(f"{what} should be a sequence of pieces, not {kind(value)}.")
    if len(pieces) > MOST:
        wrong(f"{what} has more than {MOST} pieces; is there an end to it?")
    if not all(isinstance(piece, str) for piece in pieces):
        wrong(f"{what} should hold texts, nothing else.")
    return tuple(str(piece) for piece in pieces)


@one_sentence
def check_6i_2(answer):
    """Glue a pair, from left to right, without overlap."""
    cases = (
        (("t", "h", "e", "t", "h"), ("t", "h"), ("th", "e", "th")),
        (("b", "a", "n", "a"), ("t", "h"), ("b", "a", "n", "a")),
        (("a", "a", "a"), ("a", "a"), ("aa", "a")),
        (("a", "a", "a", "a"), ("a", "a"), ("aa", "aa")),
        (("th", "e", "t", "he"), ("th", "e"), ("the", "t", "he")),
        (("n", "o"), ("o", "n"), ("n", "o")),
        ((), ("a", "b"), ()),
    )
    drawn = " ".join(np.random.default_rng(0).choice(list("abc"), 30))
    glued = tuple(drawn.replace("a b", "ab").split())
    cases += ((tuple(drawn.split()), ("a", "b"), glued),)
    for pieces, pair, right in cases:
        given = list(pieces)
        found = _as_pieces(call(answer, given, pair), "The result")
        shown = f"{list(pieces)} with the pair {pair}"
        if given != list(pieces):
            wrong("Your function changed the list it was given.")
        if found == right:
            continue
        if "".join(found) != "".join(pieces):
            wrong(
                f"{shown} became {list(found)}: that is another text. "
                "Gluing neither drops nor repeats a letter."
            )
        if found == pieces:
            wrong(f"Nothing was glued in {shown}.")
        if right == pieces:
            wrong(
                f"{shown} has no such pair, in this order, and still became "
                f"{list(found)}."
            )
        if pieces == ("a", "a", "a"):
            wrong(
                "a, a, a with the pair a, a should become aa, a: from left to "
                f"right, and no piece twice. Yours gives {list(found)}."
            )
        if len(found) > len(right):
            wrong(f"{shown}: glue *every* occurrence, not the first alone.")
        wrong(f"{shown} should become {list(right)}, not {list(found)}.")
    correct("6i.2", "Which pair do you learn first in 'banana bandana'?")


@one_sentence
def check_6i_3(answer):
    """The rotation of equation (3)."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 5)) * [3.0, 2.0, 1.0, 0.5, 0.3]
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    y = x @ turn + 0.05 * rng.standard_normal(x.shape)
    u, _, vt = np.linalg.svd(x.T @ y)
    right = u @ vt
    given = x.copy(), y.copy()
    result = call(answer, *given)
    found, within = as_values(result, "R"), 5e-3 if in_half(result) else 1e-3
    unchanged(given, (x, y))
    if found.shape == (40, 5):
        wrong("You return the turned rows; return R itself, (5, 5).")
    if found.shape != (5, 5):
        wrong(f"R should be (k, k), (5, 5) here, not {found.shape}.")
    least = np.linalg.lstsq(x, y, rcond=None)[0]
    reached("shape")
    name_value(
        found,
        (
            (
                least,
                "That is the best *matrix* (least squares). It also stretches: "
                "with few pairs it fits their noise. R has RᵀR = I.",
            ),
            (right.T, "That turns y to x: the other way round."),
            (
                vt.T @ u.T,
                "That turns y to x: R = U Vᵀ, not V Uᵀ.",
            ),
            (u @ vt.T, "NumPy's svd returns Vᵀ already."),
            (x.T @ y, "XᵀY is the start; its singular vectors make R."),
        ),
    )
    if not np.allclose(found.T @ found, np.eye(5), atol=within):
        wrong(
            "RᵀR is not the identity: your R stretches. Leave out the singular "
            "values."
        )
    cost = np.sum((x @ found - y) ** 2)
    best = np.sum((x @ right - y) ** 2)
    if cost > 1.02 * best + 1e-6:
        wrong(
            f"R is a rotation, but Σ‖xR − y‖² is {cost:.2f}, and {best:.2f} "
            "can be had."
        )
    mirrored = x * [1, 1, 1, 1, -1.0]
    reached("values")
    found = as_values(call(answer, x.copy(), mirrored), "R")
    if not np.allclose(x @ found, mirrored, atol=1e-2):
        wrong(
            "Right until the best R is a mirror image (determinant −1). (3) "
            "allows those: two spaces need not be of the same hand."
        )
    moved = x + [1.0, 2.0, 3.0, 0.0, 0.0]
    u, _, vt = np.linalg.svd(x.T @ moved)
    best = np.sum((x @ u @ vt - moved) ** 2)
    found = as_values(call(answer, x.copy(), moved), "R")
    if np.sum((x @ found - moved) ** 2) > 1.001 * best:
        wrong(
            "Right for these pairs, and not where y is shifted against x: "
            "(3) takes no means off."
        )
    correct("6i.3", "What is R if y = 3x? What is lost by that?")


@one_sentence
def check_6i_4(answer):
    """The log-probability of a decoded message."""
    rng = np.random.default_rng(4)
    p = rng.random((27, 27)) + 0.01
    log_p = np.log(p / p.sum(axis=1, keepdims=True))
    key = np.append(rng.permutation(26), 26)
    secret = rng.integers(0, 27, 50)
    given = secret.copy(), key.copy(), log_p.copy()
    result = call(answer, *given)
    found = as_number(result, "Your result")
    unchanged(given, (secret, key, log_p))
    plain, other = key[secret], np.argsort(key)[secret]

    def total(x):
        return log_p[x[:-1], x[1:]].sum()

    right = total(plain)
    name_value(
        np.array([found]),
        (
            (total(secret), "You scored the *secret* text: decode it first."),
            (
                total(other),
                "You used the key backwards. `key[c]` is the plain letter of "
                "the secret letter c: `key[secret]` decodes.",
            ),
            (right / 49, "That is the mean; the probability is of it all."),
            (right / 50, "That is the mean; the probability is of it all."),
            (-right, "The sign: a log-probability is not positive."),
            (
                log_p[plain[1:], plain[:-1]].sum(),
                "log_p[a, b] is b after a: the earlier letter is the row.",
            ),
            (np.exp(right), "Return the logarithm."),
            (right / np.log(2), "That is in bits; log_p holds nats."),
        ),
    )
    if not np.isclose(found, right, rtol=2e-3 if in_half(result) else 1e-4):
        wrong(
            f"{found:.2f} is not right; {right:.2f} is. Decode, look up "
            "log_p[x_t, x_(t+1)] for the 49 pairs of neighbours, and add."
        )
    correct("6i.4", "Which key has the highest value for the message 'aaaa'?")


def _as_message(value, size):
    """A message of numbers 0 … 26, or of letters."""
    if isinstance(value, str):
        strange = sorted(set(value.lower()) - set(corpora.LETTERS))
        if strange:
            wrong(f"The text holds {strange[0]!r}: letters and spaces only.")
        value = [corpora.LETTERS.index(c) for c in value.lower()]
    message = as_values(value, "The message")
    if message.shape == (27,) or message.shape == (26,):
        wrong("That looks like a key; return the message that it decodes.")
    if message.shape != (size,):
        wrong(
            f"The message should have {size} letters, one for each secret "
            f"one, not shape {message.shape}."
        )
    return np.round(message).astype(int)


@one_sentence
def check_6i_5(answer):
    """Three messages of 400 letters, read without their keys."""
    texts = corpora.load_definitions().texts_val
    stream, size, rights = corpora.as_letters(texts), 400, []
    for seed in range(3):
        rng = np.random.default_rng([65, seed])
        first = rng.integers(len(stream) - size)
        plain = stream[first : first + size]
        secret = np.append(rng.permutation(26), 26)[plain]
        found = _as_message(call(answer, secret.copy()), size)
        letters = plain < 26
        if np.array_equal(found, secret):
            wrong("You return the secret message as it came.")
        if np.any(found[~letters] != 26):
            wrong("Spaces stand for themselves: 26 stays 26.")
        pairs = set(zip(secret.tolist(), found.tolist(), strict=True))
        if len(pairs) > len(set(secret.tolist())):
            wrong(
                "One secret letter was read as two different ones: in this "
                "cipher a letter always stands for the same."
            )
        rights.append(np.mean(found[letters] == plain[letters]))
    share = 100 * np.mean(rights)
    if share < 60:
        wrong(
            f"{share:.0f} % of the letters are right. Frequencies alone get "
            "about a third: use which letter *follows* which."
        )
    if share < 90:
        wrong(
            f"{share:.0f} % of the letters are right; 90 are asked for. Start "
            "from several keys, or accept a worse key now and then at first."
        )
    correct(
        "6i.5",
        f"{share:.0f} % of the letters read. How short may a message be?",
    )
