"""Checks of the exercises of chapter 6d, text."""

import numpy as np
from keras import ops

from utils.baselines.ngrams import NGram
from utils.checks._feedback import (
    as_array,
    as_dict,
    as_number,
    as_values,
    call,
    correct,
    in_half,
    name_value,
    one_sentence,
    reached,
    slope,
    unchanged,
    wrong,
)
from utils.data import corpora, tokens
from utils.models.words import cooccurrence, ppmi_vectors


@one_sentence
def check_6d_1(answer):
    """Three numbers: PMI, skip-gram's logit, bits per character."""
    value = as_array(answer, "Your answer", (3,))
    pmi = np.log(8 * 10_000 / (50 * 40))
    bits = 249.5 / 200 / np.log(2)
    name_value(
        value[:1],
        (
            (np.log2(40), "The PMI is in bits; take the natural logarithm."),
            (40.0, "That is the ratio to chance; PMI is its logarithm."),
            (-pmi, "PMI's sign: seen together divided by chance."),
            (
                np.log(8 / (50 * 40)),
                "Counts are not probabilities: divide each by 10 000 first.",
            ),
        ),
    )
    if not np.isclose(value[0], pmi, atol=0.01):
        wrong(
            "The first number should be log[p(w, c) / (p(w) p(c))] with "
            "p(w, c) = 8/10 000, p(w) = 50/10 000, p(c) = 40/10 000."
        )
    name_value(
        value[1:2],
        (
            (pmi, "Skip-gram's optimum is shifted: subtract log K."),
            (pmi + np.log(5), "Subtract log K: drawn pairs are K times more."),
            (pmi - 5, "Subtract log K, not K."),
        ),
    )
    if not np.isclose(value[1], pmi - np.log(5), atol=0.01):
        wrong("The second number should be the PMI less log 5, equation (3).")
    name_value(
        value[2:],
        (
            (249.5 / 200, "That is nats per character. Divide by log 2."),
            (249.5 / np.log(2), "That is for the whole text; divide by 200."),
            (-bits, "The sign: bits are −log₂ p, positive."),
            (249.5 / 200 * np.log(2), "Divide by log 2, do not multiply."),
        ),
    )
    if not np.isclose(value[2], bits, atol=0.01):
        wrong("The third number should be 249.5 / (200 log 2).")
    correct("6d.1", "How often must a pair occur to get a logit of 0?")


@one_sentence
def check_6d_2(answer):
    """Skip-gram's loss of each pair, (n,)."""
    rng = np.random.default_rng(0)
    u, real = rng.standard_normal((2, 6, 4)).astype("float32")
    drawn = rng.standard_normal((6, 3, 4)).astype("float32")
    s = (u * real).sum(1)
    noise = (u[:, None] * drawn).sum(2)

    def softplus(x):
        return np.log1p(np.exp(x))

    expected = softplus(-s) + softplus(noise).sum(1)
    value = as_values(
        call(answer, *map(ops.convert_to_tensor, (u, real, drawn))),
        "The loss",
        finite=False,
    )
    name_value(
        value,
        (
            (expected.mean(), "Return one loss a pair, (n,), not their mean."),
            (expected.sum(), "Return one loss a pair, (n,), not their sum."),
        ),
    )
    if value.shape != (6,):
        wrong(f"The loss should have shape (n,), here (6,), not {value.shape}.")
    reached("shape")
    name_value(
        value,
        (
            (-expected, "The sign: the loss is −log of probabilities."),
            (softplus(-s), "The drawn contexts are missing."),
            (
                softplus(-s) + softplus(noise).mean(1),
                "The drawn contexts are averaged. Equation (2) sums them.",
            ),
            (
                softplus(-s) + softplus(-noise).sum(1),
                "You ask for a high logit with the drawn contexts as well. "
                "Their term is −log σ(−uᵀv), with a minus inside.",
            ),
            (
                softplus(s) + softplus(-noise).sum(1),
                "Real and drawn are exchanged: real logits should rise.",
            ),
            (
                softplus(s) + softplus(noise).sum(1),
                "The real pair's logit has the wrong sign: −log σ(s) is "
                "softplus(−s).",
            ),
        ),
    )
    if not np.allclose(value, expected, rtol=1e-3, atol=1e-4):
        wrong("The values differ from equation (2). Try n = 1 and K = 1.")
    large = np.full((1, 1), 10.0, "float32")
    reached("values")
    far = as_values(
        call(
            answer,
            *map(ops.convert_to_tensor, (large, -large, large[:, None])),
        ),
        "The loss",
        finite=False,
    )
    if not np.allclose(far, 200.0, rtol=1e-3):
        wrong(
            "At logits of −100 and 100 the loss should be 200; yours is not "
            "finite or not right. σ(−100) is 0 in float32: use ops.softplus."
        )
    gradient = slope(
        lambda x: call(
            answer, x, ops.convert_to_tensor(real), ops.convert_to_tensor(drawn)
        ),
        u,
        "Your loss",
    )
    by_real = -real / (1 + np.exp(s))[:, None]
    by_drawn = np.sum(drawn / (1 + np.exp(-noise))[..., None], axis=1)
    if not np.allclose(gradient, by_real + by_drawn, rtol=1e-2, atol=2e-3):
        wrong(
            "The values are right, the gradient by u is not: real *and* drawn "
            "contexts move u. Stay inside keras.ops, and stop no gradient."
        )
    correct("6d.2", "What is the loss of vectors of zeros, for K drawn words?")


@one_sentence
def check_6d_3(answer):
    """GloVe's weighted squared error of each pair, (n,)."""
    counts = np.array([1.0, 3.0, 10.0, 400.0], "float32")
    fitted = np.array([0.5, 0.0, 3.0, 5.0], "float32")
    error = fitted - np.log(counts)
    weight = np.minimum(1.0, (counts / 10.0) ** 0.75)
    expected = weight * error**2
    value = as_values(
        call(answer, *map(ops.convert_to_tensor, (fitted, counts)), 10.0),
        "The loss",
        finite=False,
    )
    raw = fitted - counts
    name_value(
        value,
        (
            (expected.mean(), "Return one value a pair, (n,), not the mean."),
            (expected.sum(), "Return one value a pair, (n,), not the sum."),
            (error**2, "The weight f(X) is missing."),
            (
                (counts / 10.0) ** 0.75 * error**2,
                "The weight has no upper end: counts above x_max weigh 1.",
            ),
            (
                np.minimum(1.0, counts / 10.0) * error**2,
                "The exponent 3/4 of the weight is missing.",
            ),
            (weight * raw**2, "Fit the logarithm of the counts, log X."),
            (weight * np.abs(error), "Square the error."),
            (
                weight * (fitted - np.log1p(counts)) ** 2,
                "log X, not log(1 + X): all counts here are above 0.",
            ),
            ((weight * error) ** 2, "The weight is outside the square."),
        ),
    )
    if value.shape != (4,):
        wrong(f"The loss should have shape (n,), here (4,), not {value.shape}.")
    reached("shape")
    if not np.allclose(value, expected, rtol=1e-3, atol=1e-5):
        wrong("The values differ from equation (4). Try X = x_max: weight 1.")
    rng = np.random.default_rng(0)
    counts = rng.uniform(1, 200, 4).astype("float32")
    fitted = rng.uniform(0, 6, 4).astype("float32")
    for x_max in (10.0, 100.0):
        other = as_values(
            call(answer, *map(ops.convert_to_tensor, (fitted, counts)), x_max),
            "The loss",
            shape=(4,),
        )
        weight = np.minimum(1.0, (counts / x_max) ** 0.75)
        right = weight * (fitted - np.log(counts)) ** 2
        if not np.allclose(other, right, rtol=1e-3, atol=1e-5):
            wrong("With another x_max the weight does not follow.")
        reached("values")
    gradient = slope(
        lambda x: call(answer, x, ops.convert_to_tensor(counts), 10.0),
        fitted,
        "Your loss",
    )
    weight = np.minimum(1.0, (counts / 10.0) ** 0.75)
    right = 2 * weight * (fitted - np.log(counts))
    if not np.allclose(gradient, right, rtol=1e-2, atol=2e-3):
        wrong(
            "The values are right, the gradient by `fitted` is not: stay "
            "inside keras.ops, and stop no gradient."
        )
    correct("6d.3", "Which X has the largest f(X)/X, the most say for a count?")


@one_sentence
def check_6d_4(answer):
    """Distribution at a temperature."""
    p = np.array([0.5, 0.3, 0.2, 0.0])
    half = p**2 / (p**2).sum()
    double = p**0.5 / (p**0.5).sum()
    given = p.copy()
    result = call(answer, given, 0.5)
    within = 1e-3 if in_half(result) else 1e-6
    value = as_values(result, "The result", finite=False)
    if value.shape != p.shape:
        wrong(f"The result should have shape {p.shape}, not {value.shape}.")
    soft = np.exp(p / 0.5) / np.exp(p / 0.5).sum()
    reached("shape")
    name_value(
        value,
        (
            (
                p,
                "Nothing has changed: dividing p itself cancels out. Divide "
                "its logarithm.",
            ),
            (double, "The exponent is 1/τ: below 1 it sharpens."),
            (p**2, "Divide by the sum: it is no distribution yet."),
            (soft, "p is already a probability: its logarithm is the logit."),
        ),
    )
    if not np.allclose(value, half, atol=within):
        wrong("At τ = 0.5 the result should be p² divided by its sum.")
    value = as_values(call(answer, p.copy(), 2.0), "The result", False, p.shape)
    unchanged((given,), (p,), "the probabilities")
    if not np.allclose(value, double, atol=within):
        wrong("At τ = 2 the result should be √p divided by its sum.")
    drawn = np.random.default_rng(0).dirichlet(np.ones(6))
    value = as_values(
        call(answer, drawn.copy(), 0.7), "The result", False, drawn.shape
    )
    right = drawn ** (1 / 0.7) / np.sum(drawn ** (1 / 0.7))
    if not np.allclose(value, right, atol=within):
        wrong("At τ = 0.7 the result should be p^(1/0.7) divided by its sum.")
    many = np.r_[np.full(200, 0.004), 0.2]
    reached("values")
    for cold in (0.01, 0.001):
        value = as_values(
            call(answer, many.copy(), cold), "The result", False, many.shape
        )
        if not np.isfinite(value).all() or abs(value[-1] - 1) > within:
            wrong(
                f"At τ = {cold} the result is not a distribution. Subtract "
                "the largest logit before the exponential."
            )
    correct("6d.4", "What comes out as τ grows without end, where p is 0?")


@one_sentence
def check_6d_5(answer, ids, vocabulary_size, latent_dim):
    """Shares of neighbours of the same kind, by window."""
    answer = as_dict(answer, "answer", (1, 10))
    shares = {w: as_number(answer[w], f"Share {w}") for w in answer}
    for window, share in shares.items():
        if not 0 <= share <= 1:
            wrong(f"The share at window {window} is {share:.3g}: not in 0 … 1.")
    mine = np.array(list(shares.values()))
    right, mistakes = _shares_of_kind(ids, vocabulary_size, latent_dim)
    off = np.abs(mine - right)
    if off.max() < 0.006:  # two digits will do
        correct("6d.5", "Try windows 2 to 5, and the vectors of skip-gram.")
        return
    if mine[0] == mine[1]:
        wrong("Both shares are equal: does the window reach `cooccurrence`?")
    apart = [np.abs(mine - pair).max() for pair, _ in mistakes]
    if min(apart) < 0.006:
        wrong(mistakes[np.argmin(apart)][1])
    worst = off.argmax()
    wrong(
        f"At window {(1, 10)[worst]} the share should be near "
        f"{right[worst]:.2f}, yours is {mine[worst]:.3f}. Compare the judged "
        "words with each other only, and average over all of them."
    )


def _shares_of_kind(ids, vocabulary_size, latent_dim):
    """Shares of the same kind at windows of 1 and 10, and usual mistakes."""
    vocabulary = _vocabulary()
    kinds = {
        word: kind
        for word, kind in corpora.load_word_kinds().items()
        if word in vocabulary.ids
    }
    rows = [vocabulary.ids[word] for word in kinds]
    names = np.array(list(kinds.values()))
    every = np.full(vocabulary_size, "", dtype=names.dtype)
    every[rows] = names
    found = []
    for window in (1, 10):
        table = cooccurrence(ids, vocabulary_size, window)
        vectors = ppmi_vectors(table, latent_dim)
        z = vectors[rows]
        near = _ranked(_unit(z) @ _unit(z).T)
        same = names[near] == names[:, None]  # the word itself comes first
        by_dot = _ranked(z @ z.T, own=False)
        apart = ((z[:, None] - z) ** 2).sum(axis=-1)
        of_all = np.argsort(-_unit(z) @ _unit(vectors).T, axis=1)
        found.append(
            [
                same[:, 1:6].mean(),
                same[:, :5].mean(),
                (names[by_dot[:, :5]] == names[:, None]).mean(),
                (names[_ranked(-apart)[:, 1:6]] == names[:, None]).mean(),
                (every[of_all[:, 1:6]] == names[:, None]).mean(),
                same[:, -5:].mean(),
                same[:, 1:5].mean(),
                same[:, 1:7].mean(),
                same[:, 1:6].any(axis=1).mean(),
            ]
        )
    right, *mistakes = np.transpose(found)
    return right, [
        (right[::-1], "The two windows are exchanged."),
        *zip(mistakes, MISTAKES_6D_5, strict=True),
    ]


MISTAKES_6D_5 = (
    "Every word is among its own five neighbours: set the diagonal of the "
    "cosines below all others.",
    "Divide the vectors by their lengths: cosine, not product.",
    "These are the neighbours by distance; asked is the largest cosine.",
    "These are neighbours among all words of the vocabulary. Compare the "
    "judged words with each other only.",
    "These are the five *farthest* words: sort the other way.",
    "These are four neighbours of each word: take one more.",
    "These are six neighbours of each word: take one less.",
    "That is the share of words with *some* neighbour of their kind; asked is "
    "the share of all neighbours.",
)


def _unit(z):
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)


def _ranked(likeness, own=True):
    """Indices of each row, the likest first; its own first of all, or last."""
    likeness = likeness.copy()
    np.fill_diagonal(likeness, np.inf if own else -np.inf)
    return np.argsort(-likeness, axis=1)


def _vocabulary():
    """The chapter's words, in the order of their ids."""
    texts = corpora.load_definitions()
    sentences = [s for d in corpora.load_documents() for s in d.sentences]
    every = [
        *texts.texts_train,
        *texts.texts_val,
        *texts.texts_test,
        *sentences,
    ]
    return tokens.Vocabulary.fit(every, min_count=10)


def _check_probabilities(p, size):
    """Refuse what is no distribution over at least ``size`` ids."""
    if p.ndim > 1 and p.size > p.shape[-1]:
        wrong(
            "predict should return the probabilities of the *next* id alone, "
            f"one row; yours returns shape {p.shape}."
        )
    if p.size < size:
        wrong(
            f"predict should return {size} probabilities, one for each id; "
            f"yours returns {p.size}."
        )
    if p.min() < 0:
        wrong(
            f"There are probabilities below 0, such as {p.min():.3g}. If "
            "these are logarithms, take `exp`; if they are logits, a softmax."
        )
    if abs(p.sum() - 1) > 1e-3:
        wrong(f"The probabilities should sum to 1; yours sum to {p.sum():.4g}.")


@one_sentence
def check_6d_6(answer, train_stream, val_stream):
    """Any next-character model that beats a trigram on a validation text."""
    size = int(max(train_stream.max(), val_stream.max())) + 1
    trigram = NGram(3, size).fit(train_stream)
    to_beat = trigram.score(val_stream)[10:].mean() / np.log(2)
    context = [int(i) for i in val_stream]
    nats = []
    for place in range(10, len(context)):
        given = context[:place]
        p = as_array(call(answer, given), "What predict returns")
        if given != context[:place]:
            wrong("Your function changed the list it was given: make a copy.")
        _check_probabilities(p, size)
        here = p.ravel()[context[place]]
        if here <= 0:
            wrong(
                "A character that did occur got probability 0: its −log p is "
                "infinite. Mix in a little of a shorter context."
            )
        nats.append(-np.log(here))
    bits = np.mean(nats) / np.log(2)
    single = NGram(1, size).fit(train_stream).score(val_stream)[10:].mean()
    single = single / np.log(2)
    if bits > single + 0.01:
        wrong(
            f"Your model needs {bits:.3f} bits per character, more than the "
            f"frequencies of single characters do ({single:.2f}). Does it "
            "read the *end* of `context`, in the order of the text?"
        )
    if bits > to_beat - 1e-3:
        wrong(
            f"Your model needs {bits:.3f} bits per character, a trigram "
            f"{to_beat:.3f}. Look further back than two characters."
        )
    if bits < 0.38 * to_beat:  # the best n-grams of this text need 0.45
        wrong(
            f"{bits:.3f} bits are too good to be true: has predict seen the "
            "text it is tested on? Learn from `train_stream` alone."
        )
    correct(
        "6d.6",
        f"{bits:.2f} bits per character against {to_beat:.2f}. What would "
        "an order of 13 give, and a mixture?",
    )
