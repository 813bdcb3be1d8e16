"""Vector-quantised autoencoders: discrete codes with a prior of their own.

The encoder makes a small grid of vectors, each is replaced by the nearest
row of a code book, and the indices are the code. A distribution over the
indices, fitted afterwards, makes it a generative model.
"""

import keras
import numpy as np
from keras import ops
from scipy.sparse import csgraph

from utils.models.autoencoders import Autoencoder
from utils.models.base import batch_average, builds, weighted_mean
from utils.nn import likelihoods, losses, networks
from utils.nn.layers import PACKAGE, VectorQuantizer
from utils.support import validation as check
from utils.support.batches import first_rows, in_batches

__all__ = ["VQVAE"]

PLACING_ROWS = 2000  # examples whose vectors the first code book is drawn from


@keras.saving.register_keras_serializable(package=PACKAGE)
class VQVAE(Autoencoder):
    """Vector-quantised autoencoder (van den Oord et al. 2017).

    An autoencoder whose code is a grid of whole numbers: the encoder gives a
    grid of vectors v, the code book its nearest rows e, the decoder x̂ from
    those.

    The first ``fit`` moves the code book onto vectors of the data, since
    rows far from all of them would never be chosen. :meth:`fit_prior` then
    fits a distribution over the indices by counting, which is saved with the
    model and from which :meth:`sample` draws.

    Example:

    Networks of your own, with a grid of vectors between them:

    >>> encoder = keras.Sequential(
    ...     [keras.Input((64, 1)), keras.layers.Conv1D(4, 8, strides=8)]
    ... )
    >>> decoder = keras.Sequential(
    ...     [keras.Input((8, 4)), keras.layers.Conv1DTranspose(1, 8, 8)]
    ... )
    >>> model = VQVAE(encoder, decoder, codebook_size=16)
    >>> model.encode(np.zeros((5, 64, 1))).shape
    (5, 8)

    The course's own, for images:

    >>> model = VQVAE.conv((8, 8, 1), code_dim=4, widths=(16,), seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 4, 4)

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to vectors
            ``(batch, *grid, code_dim)``, linear at its end.
        decoder: Keras model from there to what the likelihood takes.
        codebook_size: Rows K ≥ 2 of the code book.
        likelihood: As for :class:`Autoencoder`; the default is
            ``Bernoulli()``.
        commitment: Weight ≥ 0 of the last term of the loss.
        seed: Integer seed of the first code book, or ``None``.

    ``call`` and ``predict`` return a dict: ``"code"``, indices ``(batch,
    *grid)``; ``"vectors"`` before the choice; and the likelihood's outputs,
    ``"reconstruction"`` among them.

    Loss:
        −log p(x | e) + ‖sg(v) − e‖² + commitment · ‖v − sg(e)‖², each summed
        over its axes, mean over the batch, sg being no gradient; plus
        ``self.losses``. The decoder's gradient reaches the encoder straight
        through the choice. Metrics: ``mse``, ``nll`` (the first term) and
        ``perplexity``, e to the entropy of the indices in a batch: how many
        rows are in use.

    Raises:
        ValueError: as for :class:`Autoencoder`; a number out of range; a
            code book larger than the number of vectors in the data;
            ``sample`` before ``fit_prior``; ``elbo`` without a distribution.
    """

    def __init__(
        self,
        encoder,
        decoder,
        codebook_size=64,
        *,
        likelihood=None,
        commitment=0.25,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=likelihoods.get(likelihood, likelihoods.Bernoulli),
            overcomplete=True,  # a whole number holds little, however many
            **kwargs,
        )
        *grid, self.code_dim = self.code_shape
        self.grid = self.code_shape = tuple(grid)
        self.latent_dim = int(np.prod(self.grid))
        self.codebook_size = check.check_int(codebook_size, "codebook_size", 2)
        self.commitment = check.check_number(commitment, "commitment", 0.0)
        self.seed = check.check_seed(seed)
        self.quantizer = VectorQuantizer(
            self.codebook_size, self.code_dim, seed, dtype=self.dtype_policy
        )
        self._make_state()
        self.nll_tracker = keras.metrics.Mean(name="nll")
        self.perplexity_tracker = keras.metrics.Mean(name="perplexity")

    @builds("encoder", "decoder")
    def conv(
        input_shape,
        *,
        code_dim=16,
        widths=(32, 64),
        activation="relu",
        seed=None,
        dtype=None,
    ):
        """Convolutions of stride 2 around a grid of vectors.

        Args:
            input_shape: ``(height, width, channels)``, both sides divisible
                by ``2 ** len(widths)``.
            code_dim: Width of a row of the code book.
            widths: Filters of the stages, image side first; at least one.
                Each halves the sides.
            activation: Activation of the stages.
            seed: Integer seed of weights and code book, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        return networks.grid_pair(input_shape, code_dim, widths, **shared)

    def _make_state(self):
        """What is counted, not trained: the prior, and what is done."""
        cells, size = self.latent_dim, self.codebook_size

        def state(name, shape, dtype):
            return self.add_weight(
                name=name,
                shape=shape,
                dtype=dtype,
                initializer="zeros",
                trainable=False,
                autocast=False,
            )

        # cell i of the tree hangs below cell parents[i]; the root below none
        self.prior_order = state("prior_order", (cells,), "int32")
        self.prior_parents = state("prior_parents", (cells,), "int32")
        self.prior_tables = state(
            "prior_tables", (cells, size, size), "float32"
        )
        self.codebook_placed = state("codebook_placed", (), "int32")
        self.prior_fitted = state("prior_fitted", (), "int32")

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """Encode, choose rows of the code book, decode."""
        vectors = self.encoder(inputs, training=training)
        chosen, ids = self.quantizer(vectors)
        raw = self.decoder(chosen, training=training)
        return {
            "code": ids,
            "vectors": vectors,
            **self.likelihood.outputs(raw),
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nll = self.likelihood.negative_log_likelihood(x, y_pred)  # (batch,)
        vectors = ops.cast(y_pred["vectors"], "float32")
        chosen = self.quantizer.lookup(y_pred["code"])
        pull = losses.squared_error(ops.stop_gradient(vectors), chosen)
        commit = losses.squared_error(vectors, ops.stop_gradient(chosen))
        self.track_mse(x, y_pred, sample_weight)
        self.nll_tracker.update_state(nll, sample_weight)
        self.perplexity_tracker.update_state(
            self.perplexity(y_pred["code"], sample_weight)
        )
        total = nll + pull + self.commitment * commit
        return self.add_losses(weighted_mean(total, sample_weight))

    def perplexity(self, ids, sample_weight=None):
        """E to the entropy of the indices of a batch, from 1 to K."""
        ids = ops.reshape(ids, (-1, self.latent_dim))  # (batch, cells)
        used = ops.one_hot(ids, self.codebook_size, dtype="float32")
        share = batch_average(ops.mean(used, axis=1), sample_weight)
        return ops.exp(-ops.sum(share * ops.log(share + 1e-10)))

    # ----------------------------------------------------------- code book

    def before_training(self, x):
        """Refuse a code book larger than the data; place it if it is new.

        Of batches the first is looked at. A generator's rows are not, and
        the code book stays where it is.
        """
        vectors = len(x) * self.latent_dim if check.is_array(x) else np.inf
        if self.codebook_size > vectors:
            expected = f"at most {vectors}, the vectors of {len(x)} rows"
            check.fail("codebook_size", expected, f"{self.codebook_size}")
        rows = first_rows(x)
        if rows is not None and not _number(self.codebook_placed):
            self.place_codebook(rows)
        self.codebook_placed.assign(1)

    def place_codebook(self, x):
        """Rows of the code book on vectors of the data, far from each other.

        The seeding of k-means++ (Arthur and Vassilvitskii 2007): each next
        row is drawn with probability proportional to the squared distance
        from those there are.

        Args:
            x: Float32 array ``(n, *input_shape)``.
        """
        # by hand: scikit-learn's kmeans_plusplus draws several candidates
        # for each row and would move every number of chapter 4
        rng = np.random.default_rng(self.seed)
        rows = rng.permutation(len(x))[:PLACING_ROWS]
        vectors = in_batches(self.encoder, x[rows]).reshape(-1, self.code_dim)
        book = ops.convert_to_numpy(self.quantizer.codebook).copy()
        book[0] = vectors[rng.integers(len(vectors))]
        nearest = np.full(len(vectors), np.inf)
        for index in range(1, self.codebook_size):
            last = ((vectors - book[index - 1]) ** 2).sum(axis=1)
            nearest = np.minimum(nearest, last)
            if nearest.sum() == 0.0:
                break  # fewer different vectors than rows: the rest stays
            share = nearest / nearest.sum()
            book[index] = vectors[rng.choice(len(vectors), p=share)]
        self.quantizer.codebook.assign(book)

    # -------------------------------------------------------------- checks

    def check_code(self, z, name="z"):
        """Indices as int64 array, or what is wrong with them."""
        z = check.as_array(z, name)
        if z.dtype.kind not in "iu" or z.shape[1:] != self.grid or not len(z):
            expected = f"integers of shape {('n', *self.grid)}".replace("'", "")
            check.fail(name, expected, f"{z.dtype} of shape {z.shape}")
        if z.min() < 0 or z.max() >= self.codebook_size:
            expected = f"integers from 0 to {self.codebook_size - 1}"
            check.fail(name, expected, f"values from {z.min()} to {z.max()}")
        return z.astype("int64")

    # --------------------------------------------------------------- verbs

    def encoded(self, x, training=False):
        """Indices of the chosen rows, tensor ``(batch, *grid)``."""
        return self.quantizer(self.encoder(x, training=training))[1]

    def decoded(self, code, training=False):
        """The likelihood's outputs from indices; nothing for the encoder."""
        return super().decoded(self.quantizer.lookup(code), training)

    def encode(self, x):
        """Indices of the chosen rows: int64 ``(n, *grid)``."""
        return super().encode(x).astype("int64")

    def sample(self, n, *, seed=None):
        """Decode n draws from the fitted prior: ``(n, *input_shape)``."""
        return self.decode(self.sample_codes(n, seed=seed))

    def elbo(self, x):
        """Log p(x | code) + log P(code) ≤ log p(x), ``(n,)``, in nats.

        For a likelihood that is a distribution.
        """
        if not self.likelihood.normalized:
            expected = "a distribution, such as Bernoulli()"
            received = f"{type(self.likelihood).__name__}()"
            check.fail("likelihood", expected, received)
        return self.prior_log_prob(self.encode(x)) - self.example_losses(x)

    # --------------------------------------------------------------- prior

    def fit_prior(self, x, kind="tree", *, smoothing=4.0):
        """Fit P(indices) to the codes of x by counting; return the model.

        Args:
            x: Array ``(n, *input_shape)``, the training rows.
            kind: ``"tree"``, in which every cell of the grid depends on one
                other: of all trees the one of largest likelihood (Chow and
                Liu 1968). ``"independent"``, every cell on its own.
            smoothing: Number > 0 of imagined rows with the cell's own
                frequencies, added to each row of counts: where a parent's
                code is rare, the cell falls back on being independent.
        """
        check.check_choice(kind, "kind", ("tree", "independent"))
        smoothing = check.check_number(smoothing, "smoothing", 1e-6)
        ids = self.encode(x).reshape(len(x), -1)
        order, parents, tables = _fit_tables(
            ids, self.codebook_size, kind == "tree", smoothing
        )
        self.prior_order.assign(order)
        self.prior_parents.assign(parents)
        self.prior_tables.assign(tables)
        self.prior_fitted.assign(1)
        return self

    def _prior(self):
        if not _number(self.prior_fitted):
            received = "a model without a distribution over its codes"
            check.fail("prior", "fit_prior(x) to be called first", received)
        state = (self.prior_order, self.prior_parents, self.prior_tables)
        return [ops.convert_to_numpy(variable) for variable in state]

    def prior_log_prob(self, codes):
        """Log P(indices) under the fitted prior, ``(n,)``, in nats."""
        ids = self.check_code(codes, "codes").reshape(len(codes), -1)
        return _log_prob(ids, *self._prior()[1:])

    def sample_codes(self, n, *, seed=None):
        """Draw n codes from the fitted prior: int64 ``(n, *grid)``."""
        n = check.check_int(n, "n")
        rng = np.random.default_rng(check.check_seed(seed))
        ids = _draw(n, *self._prior(), rng)
        return ids.reshape(n, *self.grid)


def _number(variable):
    return int(ops.convert_to_numpy(variable))


# A distribution over rows of indices: independent cells, or a tree of them.
# A row has ``cells`` indices from 0 to ``size`` − 1. Each cell depends on its
# parent alone; the root, or a cell without a parent, is its own. The rows of
# its table are then all the same.


def _fit_tables(ids, size, tree, smoothing):
    """Order, parents ``(cells,)`` and tables ``(cells, size, size)``.

    ``tables[cell, a, b]`` is P(cell = b | parent = a), counted with
    ``smoothing`` imagined rows of the cell's own frequencies.
    """
    cells = ids.shape[1]
    order, parents = np.arange(cells), np.arange(cells)
    if tree and cells > 1:
        order, parents = _chow_liu(ids, size)
    tables = np.empty((cells, size, size), "float32")
    for cell, parent in enumerate(parents):
        alone = np.bincount(ids[:, cell], minlength=size) + 1.0 / size
        counts = smoothing * np.tile(alone / alone.sum(), (size, 1))
        if parent != cell:
            counts += _pair_counts(ids[:, parent], ids[:, cell], size)
        tables[cell] = counts / counts.sum(axis=1, keepdims=True)
    return order.astype("int32"), parents.astype("int32"), tables


def _chow_liu(ids, size):
    """Order and parents of the tree of largest mutual information.

    Mutual informations are those of the observed frequencies; the root is
    cell 0.
    """
    cells = ids.shape[1]
    weights = np.zeros((cells, cells))
    for a in range(cells):
        for b in range(a):
            joint = _pair_counts(ids[:, a], ids[:, b], size) / len(ids)
            product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
            there = joint > 0
            weights[a, b] = np.sum(
                joint[there] * np.log(joint[there] / product[there])
            )
    # the spanning tree is a minimum; an entry of 0 would mean "no edge"
    costs = np.tril(weights.max() + 1.0 - weights, -1)
    tree = csgraph.minimum_spanning_tree(costs)
    order, parents = csgraph.breadth_first_order(tree, 0, directed=False)
    parents[0] = 0
    return order, parents


def _pair_counts(first, second, size):
    """How often each pair of indices occurs, float64 ``(size, size)``."""
    flat = np.bincount(first * size + second, minlength=size * size)
    return flat.reshape(size, size).astype("float64")


def _log_prob(ids, parents, tables):
    """Log-probability of each row, float64 ``(n,)``."""
    cells = np.arange(len(parents))
    picked = tables[cells, ids[:, parents], ids]  # (n, cells)
    return np.log(picked.astype("float64")).sum(axis=1)


def _draw(n, order, parents, tables, rng):
    """So many rows, parents before children: int64 ``(n, cells)``."""
    ids = np.zeros((n, len(order)), "int64")
    for cell in order:
        share = tables[cell, ids[:, parents[cell]]].astype("float64")
        edges = share.cumsum(axis=1)
        edges /= edges[:, -1:]
        ids[:, cell] = (rng.random((n, 1)) >= edges).sum(axis=1)
    return ids
