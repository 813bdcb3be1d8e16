"""Word vectors from neighbours: skip-gram, GloVe and a factorisation.

Three ways to one table of vectors. All start from the same observation, that
words occur near other words; they differ in whether pairs are visited one by
one, or counted first and then fitted or factorised.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    refuse_target,
    spec_of,
    weighted_mean,
)
from utils.nn import networks
from utils.nn.layers import PACKAGE, Embedding, table_shape
from utils.support import validation as check
from utils.support.token_ids import PAD, START, UNKNOWN, check_ids

__all__ = [
    "GloVe",
    "SkipGram",
    "cooccurrence",
    "ppmi",
    "ppmi_vectors",
    "skip_gram_rows",
]


@keras.saving.register_keras_serializable(package=PACKAGE)
class SkipGram(CourseModel):
    """Skip-gram with negative sampling (Mikolov et al. 2013).

    A word's vector u tells its real contexts, with vectors v, from words
    drawn at random:

        L = −log σ(uᵀv_c) − Σ_j log σ(−uᵀv_j),

    in nats per pair, mean over the batch. With K random words for each real
    one its optimum is uᵀv = PMI(w, c) − log K (Levy and Goldberg 2014).

    Example:

    >>> model = SkipGram.tables(vocabulary_size=100, latent_dim=8, seed=0)
    >>> model.vectors().shape
    (100, 8)

    The same of tables of your own:

    >>> model = SkipGram(Embedding(100, 8), Embedding(100, 8))
    >>> model.vectors().shape
    (100, 8)

    Args:
        word_table: Embedding layer that holds the vectors u, one row an id;
            :class:`utils.nn.layers.Embedding` learns alike on all backends.
        context_table: Embedding layer of the same shape: the vectors v.

    Loss:
        As above; ``sample_weight`` weighs rows.

    Call arguments:
        inputs: Int tensor (batch, 2 + K): a word, a context seen near it, K
            words drawn at random; see :func:`skip_gram_rows`.

    Output:
        Logits uᵀv (batch, 1 + K).

    Raises:
        ValueError: no tables, or of different shapes; in ``fit``,
            ``evaluate`` and ``predict``, ids outside the vocabulary, fewer
            than three columns; in the first two, a target.
    """

    def __init__(self, word_table, context_table, **kwargs):
        super().__init__(**kwargs)
        self.word_table, self.context_table = word_table, context_table
        self.vocabulary_size, self.latent_dim = _shape_of_tables(
            word_table=word_table, context_table=context_table
        )
        self.built = True

    @builds("word_table", "context_table")
    def tables(vocabulary_size, latent_dim=64, *, seed=None, dtype=None):
        """Skip-gram with small random vectors.

        Args:
            vocabulary_size: Number of ids, reserved ones included.
            latent_dim: Width of the vectors.
            seed: Integer seed of the weights, or ``None``.
            dtype: Dtype policy of tables and model.
        """
        return _two_tables(vocabulary_size, latent_dim, seed, dtype)

    def call(self, inputs, training=False):
        word = self.word_table(inputs[:, 0])  # (batch, k)
        others = self.context_table(inputs[:, 1:])  # (batch, 1 + K, k)
        return ops.sum(word[:, None] * others, axis=-1)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        y_pred = ops.cast(y_pred, "float32")
        real = ops.softplus(-y_pred[:, 0])
        drawn = ops.sum(ops.softplus(y_pred[:, 1:]), axis=1)
        return self.add_losses(weighted_mean(real + drawn, sample_weight))

    def takes(self):
        return spec_of((None,), "int32")

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "real pairs are column 1")
        x = check_ids(x, self.vocabulary_size, name, empty=True)
        if x.shape[1] < 3:
            expected = "columns word, context, random words"
            check.fail(name, expected, f"shape {x.shape}")
        return x, None

    def vectors(self):
        """Word vectors u: float32 ``(vocabulary_size, latent_dim)``."""
        return ops.convert_to_numpy(self.word_table.embeddings).copy()


@keras.saving.register_keras_serializable(package=PACKAGE)
class GloVe(CourseModel):
    """Weighted least squares on the logarithm of counts.

    Pennington, Socher and Manning (2014), for pairs that occur X > 0 times:

        L = f(X) (uᵀv + b + a − log X)²,  f(X) = min(1, (X / x_max)^power),

    mean over the batch.

    Example:

    >>> model = GloVe.tables(100, latent_dim=8, x_max=10.0, seed=0)
    >>> model.vectors().shape
    (100, 8)

    Args:
        word_table: Embedding layer of the vectors u, one row an id.
        context_table: Embedding layer of the same shape: the vectors v.
        word_bias: Embedding layer of width 1: the biases b.
        context_bias: Embedding layer of width 1: the biases a.
        x_max: Count from which on every pair weighs 1, above 0.
        power: Exponent of the weight in [0, 1].

    Loss:
        As above; ``sample_weight`` weighs pairs, beside f(X).

    Call arguments:
        inputs: Int tensor (batch, 2): word and context. The targets of
            ``fit`` are their counts X, not the logarithms.

    Output:
        uᵀv + b + a (batch,), which approaches log X.

    Raises:
        ValueError: an argument out of range, no tables, or of shapes that do
            not meet; in ``fit`` and ``evaluate``, ids outside the
            vocabulary, or counts that are missing, zero or not finite.
    """

    def __init__(
        self,
        word_table,
        context_table,
        word_bias,
        context_bias,
        *,
        x_max=10.0,
        power=0.75,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.word_table, self.context_table = word_table, context_table
        self.word_bias, self.context_bias = word_bias, context_bias
        self.vocabulary_size, self.latent_dim = _shape_of_tables(
            word_table=word_table, context_table=context_table
        )
        biases = _shape_of_tables(
            word_bias=word_bias, context_bias=context_bias
        )
        if biases != (self.vocabulary_size, 1):
            expected = f"tables of shape {(self.vocabulary_size, 1)}"
            check.fail("word_bias and context_bias", expected, f"{biases}")
        self.x_max = check.check_number(x_max, "x_max", 1e-6)
        self.power = check.check_number(power, "power", 0.0, 1.0)
        self.built = True

    @builds("word_table", "context_table", "word_bias", "context_bias")
    def tables(vocabulary_size, latent_dim=64, *, seed=None, dtype=None):
        """GloVe with small random vectors and biases.

        Args:
            vocabulary_size: Number of ids, reserved ones included.
            latent_dim: Width of the vectors.
            seed: Integer seed of the weights, or ``None``.
            dtype: Dtype policy of tables and model.
            **objective: As for the class.
        """
        vectors = _two_tables(vocabulary_size, latent_dim, seed, dtype)
        scale = 0.5 / latent_dim**0.5
        shared = (vocabulary_size, 1, scale, seed, dtype)
        word_bias = _table("word_bias", 3, *shared)
        return *vectors, word_bias, _table("context_bias", 4, *shared)

    def call(self, inputs, training=False):
        word, context = inputs[:, 0], inputs[:, 1]
        dot = ops.sum(self.word_table(word) * self.context_table(context), -1)
        biases = self.word_bias(word) + self.context_bias(context)
        return dot + biases[:, 0]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        count = ops.cast(ops.reshape(y, (-1,)), "float32")
        error = ops.cast(y_pred, "float32") - ops.log(count)
        weight = ops.minimum(1.0, (count / self.x_max) ** self.power)
        squared = weight * ops.square(error)
        return self.add_losses(weighted_mean(squared, sample_weight))

    def takes(self):
        return spec_of((2,), "int32")

    def check_data(self, x, y=None, name="x"):
        x = self.check_input(x, name)
        if y is None:
            check.fail("y", "one count for each pair", "None")
        y = check.check_array(y, "y", ndim=1)
        if len(y) != len(x):
            check.fail("y", f"{len(x)} counts", f"{len(y)}")
        if y.min() <= 0:
            check.fail("y", "counts above 0", f"{y.min():g}")
        return x, y

    def check_input(self, x, name="x"):
        x = check_ids(x, self.vocabulary_size, name, empty=True)
        if x.shape[1] != 2:
            check.fail(name, "pairs (n, 2)", f"shape {x.shape}")
        return x

    def vectors(self):
        """Word vectors u + v, as the paper uses them."""
        return ops.convert_to_numpy(
            self.word_table.embeddings + self.context_table.embeddings
        )


def _two_tables(vocabulary_size, latent_dim, seed, dtype):
    """Tables of words and of contexts, uniform in ±1 / (2 √latent_dim)."""
    check.check_int(vocabulary_size, "vocabulary_size", minimum=4)
    check.check_int(latent_dim, "latent_dim")
    scale = 0.5 / latent_dim**0.5
    shared = (vocabulary_size, latent_dim, scale, seed, dtype)
    words = _table("word_table", 1, *shared)
    return words, _table("context_table", 2, *shared)


def _table(name, number, rows, width, scale, seed, dtype):
    """One table; its number keeps its weights from being another's."""
    start = keras.initializers.RandomUniform(
        -scale, scale, seed=networks.seed_of(seed, number)
    )
    return Embedding(
        rows, width, embeddings_initializer=start, name=name, dtype=dtype
    )


def _shape_of_tables(**tables):
    """``(rows, width)`` that two tables have in common."""
    first, second = (table_shape(t, name) for name, t in tables.items())
    if first != second:
        name, other = tables
        check.fail(other, f"the shape {first} of {name}", f"{second}")
    return first


def _pairs(ids, window):
    """Yield (distance, words, contexts) of all neighbours, both ways."""
    for distance in range(1, min(window, ids.shape[1] - 1) + 1):
        left, right = ids[:, :-distance].ravel(), ids[:, distance:].ravel()
        real = (left > UNKNOWN) & (right > UNKNOWN)
        left, right = left[real], right[real]
        yield distance, np.r_[left, right], np.r_[right, left]


def cooccurrence(ids, vocabulary_size, window=5, *, weighted=False):
    """Count how often words stand near each other.

    Args:
        ids: Texts as ids ``(n, t)``, padded with 0. Padding, starts and
            unknown words are no neighbours of anything.
        vocabulary_size: Number of ids.
        window: Largest distance in tokens.
        weighted: Count a pair at distance d as 1/d, as GloVe does.

    Returns:
        Float32 array ``(vocabulary_size, vocabulary_size)``, symmetric.

    Raises:
        ValueError: ids outside the vocabulary, window below 1, no pair.
    """
    ids = check_ids(ids, vocabulary_size, "ids")
    window = check.check_int(window, "window")
    flat = np.zeros(vocabulary_size**2, dtype="float32")
    for distance, words, contexts in _pairs(ids.astype("int64"), window):
        cells = np.bincount(
            words * vocabulary_size + contexts, minlength=len(flat)
        )
        flat += cells / (distance if weighted else 1)
    if not flat.any():
        check.fail("ids", "at least two known words side by side", "none")
    return flat.reshape(vocabulary_size, vocabulary_size)


def skip_gram_rows(ids, vocabulary_size, window=5, negatives=5, *, seed=0):
    """Rows for :class:`SkipGram`: word, context, random words.

    Frequent words are thinned first: each occurrence of a word with share f
    of the text is kept with probability min(1, √(10⁻³ / f)); the others stay
    where they are. Random words are drawn in proportion to count^(3/4), of
    the text before thinning. Both as in Mikolov et al. (2013).

    Args:
        ids: Texts as ids ``(n, t)``, padded with 0.
        vocabulary_size: Number of ids.
        window: Largest distance in tokens.
        negatives: Random words for each pair, K.
        seed: Integer seed; another one gives other random words.

    Returns:
        Int32 array ``(pairs, 2 + negatives)``, shuffled.

    Raises:
        ValueError: ids outside the vocabulary, window or negatives below 1,
            no pair.
    """
    ids = check_ids(ids, vocabulary_size, "ids").copy()
    window = check.check_int(window, "window")
    negatives = check.check_int(negatives, "negatives")
    rng = np.random.default_rng(check.check_seed(seed))
    count = np.bincount(ids.ravel(), minlength=vocabulary_size).astype(float)
    count[[PAD, START, UNKNOWN]] = 0
    share = count / max(count.sum(), 1)
    keep = np.sqrt(1e-3 / np.maximum(share, 1e-3))
    ids[rng.random(ids.shape) > keep[ids]] = UNKNOWN
    found = [np.stack(pair, 1) for _, *pair in _pairs(ids, window)]
    pairs = np.concatenate(found) if found else np.zeros((0, 2), "int32")
    if len(pairs) == 0:
        check.fail("ids", "at least two known words side by side", "none")
    noise = np.cumsum(count**0.75)
    draw = rng.random((len(pairs), negatives)) * noise[-1]
    drawn = np.searchsorted(noise, draw, side="right")
    rows = np.concatenate([pairs, drawn], axis=1).astype("int32")
    return rng.permutation(rows)


def ppmi(counts, *, smoothing=0.75):
    """Positive pointwise mutual information of co-occurrence counts.

        PPMI(w, c) = max(0, log [p(w, c) / (p(w) p_s(c))]) in nats,

    with p_s(c) in proportion to count(c)^smoothing, which keeps rare
    contexts from looking important (Levy, Goldberg and Dagan 2015).

    Args:
        counts: Array ``(words, contexts)`` ≥ 0.
        smoothing: Exponent in (0, 1].

    Returns:
        Float32 array of the shape of ``counts``; 0 where never seen.

    Raises:
        ValueError: negative or non-finite counts, all zero.
    """
    counts = check.check_array(counts, "counts", ndim=2)
    smoothing = check.check_number(smoothing, "smoothing", 1e-3, 1.0)
    if counts.min() < 0 or not counts.any():
        check.fail("counts", "counts ≥ 0, not all 0", f"{counts.min():g}")
    word = counts.sum(1, dtype="float64")
    context = counts.sum(0, dtype="float64") ** smoothing
    rows, columns = np.nonzero(counts)
    ratio = counts[rows, columns] / word[rows] / context[columns]
    result = np.zeros_like(counts)
    result[rows, columns] = np.maximum(np.log(ratio * context.sum()), 0.0)
    return result


def ppmi_vectors(counts, latent_dim=64, *, seed=0):
    """Word vectors by a truncated singular value decomposition of PPMI.

    Args:
        counts: Array ``(words, contexts)`` ≥ 0.
        latent_dim: Number of singular vectors.
        seed: Integer seed of the solver's start.

    Returns:
        Float32 array ``(words, latent_dim)``: left singular vectors times
        the square roots of their singular values.

    Raises:
        ValueError: as :func:`ppmi`; latent_dim not below the smaller side.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds

    matrix = ppmi(counts)
    latent_dim = check.check_int(
        latent_dim, "latent_dim", 1, min(matrix.shape) - 1
    )
    rng = np.random.default_rng(check.check_seed(seed))
    left, values, _ = svds(
        csr_matrix(matrix), k=latent_dim, v0=rng.random(min(matrix.shape))
    )
    order = np.argsort(-values)
    return (left[:, order] * np.sqrt(values[order])).astype("float32")
