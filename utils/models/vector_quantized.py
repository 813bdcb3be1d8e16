"""Vector-quantised autoencoders: discrete codes with a prior of their own.

The encoder makes a small grid of vectors, each is replaced by the nearest
row of a code book, and the indices are the code. A distribution over the
indices, fitted afterwards, makes it a generative model.
"""

import keras
import numpy as np
from keras import ops

from utils.models import _code_prior as prior
from utils.models.reconstruction import OUTPUTS, ReconstructionModel
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE, VectorQuantizer
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["VQVAE"]

PLACING_ROWS = 2000  # examples whose vectors the first code book is drawn from


@keras.saving.register_keras_serializable(package=PACKAGE)
class VQVAE(ReconstructionModel):
    """Vector-quantised autoencoder (van den Oord et al. 2017).

    Convolutions of stride 2 give a grid of vectors v, the code book its
    nearest rows e, the decoder x̂ from those. Loss, mean over the batch:

        −log p(x | e) + ‖sg(v) − e‖² + commitment · ‖v − sg(e)‖²,

    each summed over its axes, sg being no gradient. The decoder's gradient
    reaches the encoder straight through the choice.

    The first ``fit`` moves the code book onto vectors of the data, since
    rows far from all of them would never be chosen. ``fit_prior`` then fits
    a distribution over the indices by counting, which is saved with the
    model and from which :meth:`sample` draws.

    Args:
        input_shape: ``(height, width, channels)``, both sides divisible by
            ``2 ** len(widths)``.
        codebook_size: Rows K of the code book.
        code_dim: Width of a row.
        widths: Filters of the stages, image side first.
        activation: Activation of the stages.
        output: As for :class:`utils.autoencoders.Autoencoder`.
        commitment: Weight ≥ 0 of the last term.
        seed: Integer seed of initial weights, or ``None``.

    ``call`` and ``predict`` return a dict: ``"code"``, indices
    ``(batch, h, w)``; ``"vectors"`` before the choice; ``"reconstruction"``
    and, for Bernoulli, ``"logits"``. Metrics: ``mse``, ``nll`` (the first
    term) and ``perplexity``, e to the entropy of the indices in a batch: how
    many rows are in use.

    Raises:
        ValueError: a hyperparameter out of range; data as for every model of
            the course; a code book larger than the number of vectors in the
            data; ``sample`` before ``fit_prior``.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        codebook_size=64,
        *,
        code_dim=16,
        widths=(32, 64),
        activation="relu",
        output="bernoulli",
        commitment=0.25,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.codebook_size = check.check_int(codebook_size, "codebook_size", 2)
        self.code_dim = check.check_int(code_dim, "code_dim")
        self.widths = check.check_widths(widths, "widths")
        if not self.widths:
            check.fail("widths", "at least one stage", "()")
        self.activation = activation
        self.output_kind = check.check_choice(output, "output", OUTPUTS)
        self.commitment = check.check_number(commitment, "commitment", 0.0)
        self.seed = seed = check.check_seed(seed)
        shared = {
            "activation": activation,
            "seed": seed,
            "dtype": self.dtype_policy,
        }
        self.encoder, self.decoder = self._make_networks(shared)
        self.grid = tuple(self.encoder.output.shape[1:3])
        self.quantizer = VectorQuantizer(
            self.codebook_size, self.code_dim, seed, dtype=self.dtype_policy
        )
        self._make_state()
        self.nll_tracker = keras.metrics.Mean(name="nll")
        self.perplexity_tracker = keras.metrics.Mean(name="perplexity")
        self.built = True

    def _make_networks(self, shared):
        """Stages of the course's builders, around a grid, not a vector."""
        trunk = networks.conv_encoder(
            self.event_shape, self.code_dim, self.widths, **shared
        )
        fan = networks.conv_decoder(
            self.code_dim, self.event_shape, self.widths[::-1], **shared
        )
        into = self._grid_layer(self.code_dim, "vectors", 900, "linear")
        stages = trunk.get_layer("flatten").input  # (batch, h, w, filters)
        encoder = keras.Model(trunk.input, into(stages), name="encoder")
        grid = keras.Input(encoder.output.shape[1:], name="chosen")
        out_of = self._grid_layer(
            self.widths[-1], "from_grid", 901, self.activation
        )
        hidden = out_of(grid)
        names = [layer.name for layer in fan.layers]
        first = names.index("small_map") + 2  # a dense layer and its reshape
        for layer in fan.layers[first:]:
            hidden = layer(hidden)
        return encoder, keras.Model(grid, hidden, name="decoder")

    def _grid_layer(self, filters, name, offset, activation):
        seed = None if self.seed is None else 1000 * self.seed + offset
        return keras.layers.Conv2D(
            filters,
            kernel_size=3,
            padding="same",
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            name=name,
            dtype=self.dtype_policy,
        )

    def _make_state(self):
        """What is counted, not trained: the prior, and what is done."""
        cells, size = int(np.prod(self.grid)), self.codebook_size

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

    # ------------------------------------------------------------ objective

    def call(self, inputs, training=False):
        """Encode, choose rows of the code book, decode."""
        vectors = self.encoder(inputs)
        chosen, ids = self.quantizer(vectors)
        return {
            "code": ids,
            "vectors": vectors,
            **self.decoder_outputs(chosen),
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nll = self.reconstruction_loss(x, y_pred)
        vectors = ops.cast(y_pred["vectors"], "float32")
        chosen = self.quantizer.lookup(y_pred["code"])
        pull = losses.squared_error(ops.stop_gradient(vectors), chosen)
        commit = losses.squared_error(vectors, ops.stop_gradient(chosen))
        self.track_mse(x, y_pred, sample_weight)
        self.nll_tracker.update_state(nll, sample_weight)
        self.perplexity_tracker.update_state(self._perplexity(y_pred["code"]))
        total = nll + pull + self.commitment * commit
        if sample_weight is not None:
            total = total * ops.cast(sample_weight, total.dtype)
        return self.add_losses(ops.mean(total))

    def _perplexity(self, ids):
        used = ops.one_hot(ops.reshape(ids, (-1,)), self.codebook_size)
        share = ops.mean(ops.cast(used, "float32"), axis=0)
        return ops.exp(-ops.sum(share * ops.log(share + 1e-10)))

    def before_training(self, x):
        """Refuse a code book larger than the data; place it if it is new."""
        if not check.is_array(x):
            return
        vectors = len(x) * int(np.prod(self.grid))
        if self.codebook_size > vectors:
            check.fail(
                "codebook_size",
                f"at most {vectors}, the vectors of {len(x)} rows",
                f"{self.codebook_size}",
            )
        if not _number(self.codebook_placed):
            self._place_codebook(x)

    def _place_codebook(self, x):
        """Rows of the code book on vectors of the data, far from each other.

        The seeding of k-means++ (Arthur and Vassilvitskii 2007): each next
        row is drawn with probability proportional to the squared distance
        from those there are.
        """
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
        self.codebook_placed.assign(1)

    # ---------------------------------------------------------------- prior

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
        order, parents, tables = prior.fit(
            ids, self.codebook_size, kind == "tree", smoothing
        )
        self.prior_order.assign(order)
        self.prior_parents.assign(parents)
        self.prior_tables.assign(tables)
        self.prior_fitted.assign(1)
        return self

    def _prior(self):
        if not _number(self.prior_fitted):
            raise ValueError(
                "prior: expected fit_prior(x) to be called first; received a "
                "model without a distribution over its codes."
            )
        return [
            ops.convert_to_numpy(state)
            for state in (
                self.prior_order,
                self.prior_parents,
                self.prior_tables,
            )
        ]

    def prior_log_prob(self, codes):
        """Log P(indices) under the fitted prior, ``(n,)``, in nats."""
        ids = self._check_codes(codes).reshape(len(codes), -1)
        return prior.log_prob(ids, *self._prior()[1:])

    def sample_codes(self, n, *, seed=None):
        """Draw n codes from the fitted prior: int64 ``(n, h, w)``."""
        n = check.check_int(n, "n")
        rng = np.random.default_rng(check.check_seed(seed))
        ids = prior.draw(n, *self._prior(), rng)
        return ids.reshape(n, *self.grid)

    # --------------------------------------------------------------- verbs

    def _check_codes(self, codes):
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu" or codes.shape[1:] != self.grid:
            check.fail(
                "codes",
                f"integers of shape (n, {self.grid[0]}, {self.grid[1]})",
                f"{codes.dtype} of shape {codes.shape}",
            )
        if codes.min() < 0 or codes.max() >= self.codebook_size:
            check.fail(
                "codes",
                f"integers from 0 to {self.codebook_size - 1}",
                f"values from {codes.min()} to {codes.max()}",
            )
        return codes.astype("int64")

    def encode(self, x):
        """Indices of the chosen rows: int64 ``(n, h, w)``."""
        x = check.check_array(x, "x", event_shape=self.event_shape)
        return in_batches(
            lambda part: self.quantizer(self.encoder(part))[1], x
        ).astype("int64")

    def decode(self, codes):
        """Reconstructions from indices: float32 ``(n, *input_shape)``."""
        return in_batches(
            lambda ids: self.decoder_outputs(self.quantizer.lookup(ids))[
                "reconstruction"
            ],
            self._check_codes(codes),
        )

    def sample(self, n, *, seed=None):
        """Decode n draws from the fitted prior: ``(n, *input_shape)``."""
        return self.decode(self.sample_codes(n, seed=seed))

    def elbo(self, x):
        """Log p(x | code) + log P(code) ≤ log p(x), ``(n,)``, in nats.

        For ``output="bernoulli"``, the one with a likelihood.
        """
        if self.output_kind != "bernoulli":
            check.fail("output", "'bernoulli'", repr(self.output_kind))
        return self.prior_log_prob(self.encode(x)) - self.score(x)

    def get_config(self):
        names = (
            "codebook_size",
            "code_dim",
            "activation",
            "commitment",
            "seed",
        )
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "widths": list(self.widths),
            "output": self.output_kind,
            **{name: getattr(self, name) for name in names},
        }


def _number(variable):
    return int(ops.convert_to_numpy(variable))
