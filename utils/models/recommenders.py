"""Recommenders trained by gradient descent: ratings, and what was used.

For *explicit* ratings the loss runs over observed entries alone; for
*implicit* feedback a multinomial likelihood lets the items compete.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    shapes_of,
    spec_of,
    weighted_mean,
)
from utils.models.vaes import VAE
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE, Embedding, table_shape
from utils.nn.likelihoods import Multinomial
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["AutoRec", "MatrixFactorization", "MultVAE"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class MatrixFactorization(CourseModel):
    """Rating of user u for item i: r̂ = c + b_u + b_i + p_uᵀ q_i.

    Trained on observed pairs alone, with the penalty of Koren, Bell and
    Volinsky (2009):

        mean over pairs of (r − r̂)² + λ (‖p_u‖² + ‖q_i‖² + b_u² + b_i²).

    ``fit(pairs, ratings)`` takes integers ``(n, 2)``, user and item, and
    their ratings ``(n,)``; or ``fit(matrix)`` a scipy sparse matrix (users,
    items) whose stored entries, zeros too, are the ratings. ``call`` and
    ``predict`` return ``"rating"`` and ``"square"``, the sum of squares in
    brackets, for each pair.

    Example:

    >>> model = MatrixFactorization.tables(30, 12, latent_dim=4, offset=3.5)
    >>> model.rate([[0, 3], [29, 11]]).shape
    (2,)

    The same of tables of your own, here without a random start:

    >>> users, items = (
    ...     Embedding(rows, 5, embeddings_initializer="zeros")
    ...     for rows in (30, 12)
    ... )
    >>> model = MatrixFactorization(users, items, offset=3.5)
    >>> model.rate([[0, 3]]).tolist()
    [3.5]

    Args:
        user_table: Embedding layer of one row a user: the factors p_u and,
            in the last column, the bias b_u;
            :class:`utils.nn.layers.Embedding` learns alike on all backends.
        item_table: Embedding layer of the same width: q_i and b_i.
        penalty: Weight λ ≥ 0.
        offset: First value of the trained constant c; pass the mean rating.

    Loss:
        As above, mean over the batch; ``sample_weight`` weighs pairs, their
        penalty included. Metric ``mse``: without the penalty.

    Raises:
        ValueError: a hyperparameter out of range, no tables, or of different
            widths; before training, pairs that are not integers in range, a
            matrix of another shape, ratings missing, of another length or
            with NaN.
    """

    def __init__(
        self, user_table, item_table, *, penalty=0.02, offset=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.user_table, self.item_table = user_table, item_table
        self.num_users, width = table_shape(user_table, "user_table")
        self.num_items, other = table_shape(item_table, "item_table")
        if width != other:
            expected = f"rows of width {width}, as the user table's"
            check.fail("item_table", expected, f"{other}")
        self.latent_dim = width - 1
        self.penalty = check.check_number(penalty, "penalty", 0.0)
        self.offset = check.check_number(offset, "offset")
        self.constant = self.add_weight(
            name="constant",
            shape=(),
            initializer=keras.initializers.Constant(self.offset),
        )
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    @builds("user_table", "item_table")
    def tables(num_users, num_items, latent_dim=8, *, seed=None, dtype=None):
        """Factors and biases drawn from N(0, 0.1²).

        Args:
            num_users: Number of users.
            num_items: Number of items.
            latent_dim: Width k of the factors; 0 leaves the biases alone.
            seed: Integer seed of the initial factors, or ``None``.
            dtype: Dtype policy of tables and model.
            **objective: As for the class.
        """
        width = 1 + check.check_int(latent_dim, "latent_dim", 0)
        rows = {
            "user_table": check.check_int(num_users, "num_users"),
            "item_table": check.check_int(num_items, "num_items"),
        }
        return tuple(
            Embedding(
                rows[name],
                width,
                embeddings_initializer=keras.initializers.RandomNormal(
                    stddev=0.1,
                    seed=None if seed is None else 2 * seed + index,
                ),
                name=name,
                dtype=dtype,
            )
            for index, name in enumerate(rows)
        )

    def call(self, inputs, training=False):
        """Rating and sum of squares of each pair, ``(batch,)`` both."""
        inputs = ops.cast(inputs, "int32")
        user = self.user_table(inputs[:, 0])
        item = self.item_table(inputs[:, 1])
        product = ops.sum(user[:, :-1] * item[:, :-1], axis=1)
        rating = self.constant + user[:, -1] + item[:, -1] + product
        square = ops.sum(ops.square(user) + ops.square(item), axis=1)
        return {"rating": rating, "square": square}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        rating = ops.cast(y_pred["rating"], "float32")
        y = ops.reshape(ops.cast(y, "float32"), (-1,))
        squared = ops.square(y - rating)
        self.mse_tracker.update_state(squared, sample_weight)
        loss = squared + self.penalty * ops.cast(y_pred["square"], "float32")
        return self.add_losses(weighted_mean(loss, sample_weight))

    def takes(self):
        return spec_of((2,), "int32")

    def check_data(self, x, y=None, name="x"):
        if hasattr(x, "tocoo"):
            x, y = self._entries(x, y, name)
        x = self.check_input(x, name)
        if y is None:
            check.fail("y", f"{len(x)} ratings", "None")
        y = check.check_array(y, "y", ndim=1)
        if len(y) != len(x):
            check.fail("y", f"{len(x)} ratings", f"{len(y)}")
        return x, y

    def _entries(self, matrix, y, name):
        """Pairs and ratings: the stored entries of a sparse matrix."""
        if y is not None:
            check.fail("y", "none beside a matrix of ratings", "some")
        shape = (self.num_users, self.num_items)
        if matrix.shape != shape:
            check.fail(name, f"a matrix {shape}", f"shape {matrix.shape}")
        stored = matrix.tocoo()
        return np.stack([stored.row, stored.col], axis=1), stored.data

    def check_input(self, x, name="x"):
        x = check.as_array(x, name)
        expected = (
            f"integers (n, 2): users below {self.num_users}, items below "
            f"{self.num_items}"
        )
        if x.ndim != 2 or x.shape[1] != 2 or not len(x):
            check.fail(name, expected, f"shape {x.shape}")
        if x.dtype.kind not in "iu":
            check.fail(name, expected, f"dtype {x.dtype}")
        if (
            x.min() < 0
            or (x.max(axis=0) >= (self.num_users, self.num_items)).any()
        ):
            check.fail(name, expected, f"from {x.min(0)} to {x.max(0)}")
        return x.astype("int32")

    def rate(self, pairs):
        """Predicted ratings of pairs ``(n, 2)``: float32 ``(n,)``."""
        pairs = self.check_input(pairs, "pairs")
        return in_batches(lambda rows: self(rows)["rating"], pairs)


@keras.saving.register_keras_serializable(package=PACKAGE)
class AutoRec(CourseModel):
    """Autoencoder of rating rows, scored where a rating was observed.

    A row holds the ratings of one user for all items, or of all users for
    one item, which is the stronger variant (Sedhain et al. 2015): transpose
    the matrix. Unobserved entries enter as 0 after ``offset`` is subtracted,
    and leave no trace in the loss:

        Σ_observed (r − r̂)², mean over the batch, + λ/2 Σ ‖W‖²

    over the kernels W. ``fit(x, observed)`` takes the matrix and its mask, or
    a scipy sparse matrix alone, whose stored entries are the ratings;
    ``call`` and ``predict`` take ``{"x", "observed"}`` and return ``"code"``
    and ``"reconstruction"``, a rating for *every* entry.

    Example:

    >>> encoder = keras.Sequential(
    ...     [keras.Input((12,)), keras.layers.Dense(20, "selu")]
    ... )
    >>> decoder = keras.Sequential([keras.Input((20,)), keras.layers.Dense(12)])
    >>> model = AutoRec(encoder, decoder, offset=3.5)

    The paper's, with sigmoid layers:

    >>> model = AutoRec.dense(12, latent_dim=20, offset=3.5, seed=0)
    >>> ratings = np.full((5, 12), 4.0)
    >>> model.reconstruct(ratings, ratings > 0).shape
    (5, 12)

    Args:
        encoder: Keras model from rows ``(batch, num_columns)`` to codes. A
            code may be wider than a row.
        decoder: Keras model from codes to rows, linear at its end.
        penalty: Weight λ ≥ 0.
        offset: Subtracted from ratings and added to predictions; pass the
            mean rating.
        dropout: Rate in [0, 1) at which observed entries are hidden from the
            input while training.
        seed: Integer seed of the dropout, or ``None``.

    Loss:
        As above. Metric ``mse``: mean over *observed* entries.

    Raises:
        ValueError: a hyperparameter out of range; networks whose shapes do
            not meet; before training, an array of wrong shape, NaN, a mask
            missing or not of 0 and 1, a row without any observed entry.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        penalty=0.1,
        offset=0.0,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.penalty = check.check_number(penalty, "penalty", 0.0)
        self.offset = check.check_number(offset, "offset")
        self.dropout = check.check_number(dropout, "dropout", 0.0, 0.99)
        self.seed = check.check_seed(seed)
        self.event_shape, code = shapes_of(encoder, "encoder")
        shapes = shapes_of(decoder, "decoder")
        if shapes != (code, self.event_shape):
            expected = f"a model from {code} to {self.event_shape}"
            received = f"from {shapes[0]} to {shapes[1]}"
            check.fail("decoder", expected, received)
        self.num_columns, self.latent_dim = self.event_shape[0], code[0]
        self.hide = keras.layers.Dropout(dropout, seed=seed)
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    @builds("encoder", "decoder")
    def dense(num_columns, latent_dim=64, *, widths=(), seed=None, dtype=None):
        """The paper's: sigmoid layers, the last one linear.

        Args:
            num_columns: Length of a row.
            latent_dim: Width of the code.
            widths: Hidden units before the code, mirrored after it.
            seed: Integer seed of initial weights and dropout, or ``None``.
            dtype: Dtype policy of networks and model.
        """
        return networks.dense_pair(
            (check.check_int(num_columns, "num_columns", 2),),
            latent_dim,
            widths,
            activation="sigmoid",
            code_activation="sigmoid",
            seed=seed,
            dtype=dtype,
        )

    # ----------------------------------------------------------- objective

    def call(self, inputs, training=False):
        """Return ``{"code", "reconstruction"}`` of rows and their masks."""
        observed = ops.cast(inputs["observed"], "bool")
        x = ops.cast(inputs["x"], self.compute_dtype)
        centred = ops.where(observed, x - self.offset, ops.zeros_like(x))
        code = self.encoder(self.hide(centred, training=training))
        return {
            "code": code,
            "reconstruction": self.decoder(code) + self.offset,
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = self.masked_error(x, y_pred)  # (batch,)
        count = ops.sum(ops.cast(x["observed"], "float32"), axis=1)
        weight = count
        if sample_weight is not None:
            weight = count * ops.cast(sample_weight, "float32")
        self.mse_tracker.update_state(error / count, weight)
        kernels = [w for w in self.trainable_weights if w.name == "kernel"]
        squares = (ops.sum(ops.square(ops.cast(w, "float32"))) for w in kernels)
        loss = weighted_mean(error, sample_weight)
        return self.add_losses(loss + 0.5 * self.penalty * sum(squares))

    def masked_error(self, x, outputs):
        """Squared error over observed entries, ``(batch,)``."""
        return losses.masked_squared_error(
            x["x"], outputs["reconstruction"], x["observed"]
        )

    # --------------------------------------------------------------- checks

    def takes(self):
        return dict.fromkeys(("x", "observed"), spec_of(self.event_shape))

    def check_data(self, x, y=None, name="x"):
        observed = y
        if isinstance(x, dict):
            x, observed = x.get("x"), x.get("observed", observed)
        if observed is None and hasattr(x, "tocsr"):
            observed = _stored(x)
        if observed is None:
            check.fail(
                "observed",
                "a mask of 0 and 1, of the shape of x: which ratings exist",
                "None",
            )
        x = check.check_array(x, name, event_shape=self.event_shape)
        observed = check.check_feedback(observed, "observed", self.num_columns)
        if len(observed) != len(x):
            check.fail("observed", f"{len(x)} rows", f"{len(observed)}")
        # what stands at unobserved entries is no business of the model's
        return {"x": np.where(observed > 0, x, 0), "observed": observed}, None

    # --------------------------------------------------------------- verbs

    def _run(self, x, observed, function):
        return in_batches(function, self.check_data(x, observed)[0])

    def encode(self, x, observed=None):
        """Codes of rows and their masks: float32 ``(n, latent_dim)``."""
        return self._run(x, observed, lambda rows: self(rows)["code"])

    def reconstruct(self, x, observed=None):
        """A rating for every entry: float32 of the shape of x."""
        return self._run(x, observed, lambda rows: self(rows)["reconstruction"])

    def example_losses(self, x, observed=None):
        """Squared error over the observed entries of each row, ``(n,)``."""
        return self._run(
            x, observed, lambda rows: self.masked_error(rows, self(rows))
        )


def _stored(matrix):
    """Mask of the entries that a scipy sparse matrix stores, zeros too."""
    entries = matrix.tocoo()
    mask = np.zeros(matrix.shape, "float32")
    mask[entries.row, entries.col] = 1.0
    return mask


@keras.saving.register_keras_serializable(package=PACKAGE)
class MultVAE(VAE):
    """Variational autoencoder of implicit feedback (Liang et al. 2018).

    A user is a bag of items, drawn from one distribution over all of them:
    p(x | z) multinomial with probabilities softmax(g(z)), z ~ N(0, I). The
    encoder sees the row divided by its length ‖x‖, with dropout. The loss is

        E_q[−Σ_j x_j log π_j(z)] + β · KL(q(z | x) ‖ p(z)),

    in nats per user, without the multinomial coefficient. β is usually below
    1 and grows over the first ``warmup_steps`` steps.

    ``fit(x)`` takes rows of 0 and 1, dense or scipy sparse.
    ``reconstruct(x)`` gives π at the mean of q, the scores to rank by: each
    row sums to 1.

    Example:

    >>> model = MultVAE.dense(12, latent_dim=4, widths=(16,), seed=0)
    >>> model.reconstruct(np.eye(12)[:3]).shape
    (3, 12)

    Args:
        encoder: As for :class:`utils.models.VAE`, from rows ``(batch,
            num_items)``.
        decoder: Keras model from codes to logits ``(batch, num_items)``.
        dropout: Rate in [0, 1) on the input while training.
        beta: Weight β ≥ 0 of the KL term.
        free_bits, warmup_steps: As for :class:`utils.models.VAE`.
        seed: Integer seed of draws and dropout, or ``None``.

    Raises:
        ValueError: a hyperparameter out of range; networks whose shapes do
            not meet; from ``fit``, ``evaluate`` and the verbs: NaN, entries
            other than 0 and 1, an empty user.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        dropout=0.5,
        beta=0.2,
        free_bits=0.0,
        warmup_steps=0,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            encoder,
            decoder,
            likelihood=Multinomial(),
            beta=beta,
            free_bits=free_bits,
            warmup_steps=warmup_steps,
            seed=seed,
            **kwargs,
        )
        self.num_items = self.event_shape[0]
        self.dropout = check.check_number(dropout, "dropout", 0.0, 0.99)
        self.hide = keras.layers.Dropout(dropout, seed=seed)

    @builds("encoder", "decoder")
    def dense(
        num_items,
        latent_dim=32,
        *,
        widths=(128,),
        activation="tanh",
        seed=None,
        dtype=None,
    ):
        """A MultVAE of dense layers.

        Args:
            num_items: Number of items.
            latent_dim: Width k of the code.
            widths: Hidden units from input to code, mirrored in the decoder.
            activation: Activation of the hidden layers.
            seed: Integer seed of initial weights, draws and dropout.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        shape = (check.check_int(num_items, "num_items", 2),)
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        return networks.variational_pair(
            "dense", shape, latent_dim, widths, **shared
        )

    def posterior(self, inputs):
        """Parameters of q(z | x), the row brought to length 1."""
        x = ops.convert_to_tensor(inputs)
        length = ops.norm(x, axis=1, keepdims=True)
        return super().posterior(x / ops.maximum(length, 1e-6))

    def call(self, inputs, training=False):
        """Draw a code and give every item its probability."""
        # dropout scales what it keeps, which the length takes back
        return super().call(self.hide(inputs, training=training))

    def check_rows(self, x, name="x"):
        return check.check_feedback(x, name, self.num_items)

    def check_input(self, x, name="x"):
        return self.check_rows(x, name)
