"""Matrix factorisation, the linear one of the recommenders."""

import keras
import numpy as np
from keras import ops

from utils import _validation as check
from utils._batches import in_batches
from utils._course_model import OwnLossModel
from utils.layers import PACKAGE, Embedding


@keras.saving.register_keras_serializable(package=PACKAGE)
class MatrixFactorization(OwnLossModel):
    """Rating of user u for item i: r̂ = offset + b_u + b_i + p_uᵀ q_i.

    Trained on observed pairs alone, with the penalty of Koren, Bell and
    Volinsky (2009):

        mean over pairs of (r − r̂)² + λ (‖p_u‖² + ‖q_i‖² + b_u² + b_i²).

    ``fit(pairs, ratings)`` takes integers ``(n, 2)``, user and item, and
    their ratings ``(n,)``. ``call`` and ``predict`` return ``"rating"`` and
    ``"square"``, the sum of squares in brackets, for each pair.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        latent_dim: Width k of the factors; 0 leaves the biases alone.
        penalty: Weight λ ≥ 0.
        offset: First value of the trained constant; pass the mean rating.
        seed: Integer seed of the initial factors, or ``None``.

    Loss:
        As above, mean over the batch. Metric ``mse``: without the penalty.

    Raises:
        ValueError: a hyperparameter out of range; before training, pairs
            that are not integers in range, ratings missing, of another
            length or with NaN.
    """

    def __init__(
        self,
        num_users,
        num_items,
        latent_dim=8,
        *,
        penalty=0.02,
        offset=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_users = check.check_int(num_users, "num_users")
        self.num_items = check.check_int(num_items, "num_items")
        self.latent_dim = check.check_int(latent_dim, "latent_dim", 0)
        self.l2 = check.check_number(penalty, "penalty", 0.0)
        self.first_offset = check.check_number(offset, "offset")
        self.seed = check.check_seed(seed)
        self.user_table = self._table(self.num_users, "user_table", 0)
        self.item_table = self._table(self.num_items, "item_table", 1)
        self.offset = self.add_weight(
            name="offset",
            shape=(),
            initializer=keras.initializers.Constant(self.first_offset),
        )
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    def _table(self, rows, name, index):
        """Factors and, in the last column, biases."""
        seed = None if self.seed is None else 2 * self.seed + index
        table = Embedding(
            rows,
            self.latent_dim + 1,
            embeddings_initializer=keras.initializers.RandomNormal(
                stddev=0.1, seed=seed
            ),
            name=name,
            dtype=self.dtype_policy,
        )
        table.build()
        return table

    def call(self, inputs, training=False):
        """Rating and sum of squares of each pair, ``(batch,)`` both."""
        inputs = ops.cast(inputs, "int32")
        user = self.user_table(inputs[:, 0])
        item = self.item_table(inputs[:, 1])
        product = ops.sum(user[:, :-1] * item[:, :-1], axis=1)
        rating = self.offset + user[:, -1] + item[:, -1] + product
        square = ops.sum(ops.square(user) + ops.square(item), axis=1)
        return {"rating": rating, "square": square}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        rating = ops.cast(y_pred["rating"], "float32")
        squared = ops.square(
            ops.reshape(ops.cast(y, "float32"), (-1,)) - rating
        )
        self.mse_tracker.update_state(squared, sample_weight)
        loss = squared + self.l2 * ops.cast(y_pred["square"], "float32")
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, "float32")
        return self.add_losses(ops.mean(loss))

    def _check_pairs(self, x, name="x"):
        x = np.asarray(x)
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

    def _check_both(self, x, y, name="x"):
        if not check.is_array(x):
            return x, y
        x = self._check_pairs(x, name)
        if y is None:
            check.fail("y", f"{len(x)} ratings", "None")
        y = check.check_array(y, "y", ndim=1)
        if len(y) != len(x):
            check.fail("y", f"{len(x)} ratings", f"{len(y)}")
        return x, y

    def fit(self, x=None, y=None, *args, validation_data=None, **kwargs):
        """As ``keras.Model.fit``, for pairs and ratings, checked first."""
        x, y = self._check_both(x, y)
        if check.is_array(validation_data):
            rows, ratings, *rest = validation_data
            checked = self._check_both(rows, ratings, "validation_data")
            validation_data = (*checked, *rest)
        return super().fit(
            x, y, *args, validation_data=validation_data, **kwargs
        )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.evaluate``, for pairs and ratings."""
        return super().evaluate(*self._check_both(x, y), *args, **kwargs)

    def rate(self, pairs):
        """Predicted ratings of pairs ``(n, 2)``: float32 ``(n,)``."""
        pairs = self._check_pairs(pairs, "pairs")
        return in_batches(lambda rows: self(rows)["rating"], pairs)

    def get_config(self):
        return {
            **super().get_config(),
            "num_users": self.num_users,
            "num_items": self.num_items,
            "latent_dim": self.latent_dim,
            "penalty": self.l2,
            "offset": self.first_offset,
            "seed": self.seed,
        }
