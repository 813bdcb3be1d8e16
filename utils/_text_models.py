"""What the models of texts share: the encoder and the checks before Keras."""

import keras
from keras import ops

from utils import _validation as check
from utils._batches import in_batches
from utils._course_model import OwnLossModel
from utils.layers import PACKAGE, Embedding
from utils.tokens import PAD, check_ids

TRUNKS = ("bag", "conv", "gru")


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedMean(keras.layers.Layer):
    """Mean of the states (n, t, k) of those tokens whose id is not 0."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # the ids say more than a mask

    def compute_mask(self, states, previous_mask=None):
        return None  # one vector a text: nothing left to mask

    def call(self, states, ids):
        real = ops.cast(ops.not_equal(ids, PAD), states.dtype)[..., None]
        count = ops.maximum(ops.sum(real, axis=1), 1.0)
        return ops.sum(states * real, axis=1) / count

    def compute_output_shape(self, states_shape, ids_shape=None):
        return (states_shape[0], states_shape[2])


@keras.saving.register_keras_serializable(package=PACKAGE)
class TokenDropout(keras.layers.Layer):
    """Replaces each id by padding with probability ``rate``, in training."""

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids, training=False):
        if not training or self.rate == 0.0:
            return ids
        draw = keras.random.uniform(ops.shape(ids), seed=self.seed_generator)
        return ops.where(draw < self.rate, ops.full_like(ids, PAD), ids)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class TextModel(OwnLossModel):
    """Encoder of token ids, and the checks before Keras.

    A subclass sets ``self.head`` and the objective. Its loss is in nats and
    comes from ``compute_loss``; ``self.losses`` are added.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=64,
        units=64,
        trunk="bag",
        window=8,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = check.check_int(
            vocabulary_size, "vocabulary_size", minimum=4
        )
        self.embedding_dim = check.check_int(embedding_dim, "embedding_dim")
        self.units = check.check_int(units, "units")
        self.trunk = check.check_choice(trunk, "trunk", TRUNKS)
        self.window = check.check_int(window, "window")
        self.seed = check.check_seed(seed)
        self.latent_dim = self.embedding_dim if trunk == "bag" else self.units
        ids = keras.Input((None,), dtype="int32", name="ids")
        states = self._states(ids)
        self.states = keras.Model(ids, states, name="states")
        code = MaskedMean(name="mean")(states, ids)
        self.encoder = keras.Model(ids, code, name="encoder")

    def _init(self, number, scale=None):
        """Seeded initialiser of one layer: uniform in ±scale, or Glorot's."""
        seed = None if self.seed is None else 1000 * self.seed + number
        if scale is None:
            return keras.initializers.GlorotUniform(seed=seed)
        return keras.initializers.RandomUniform(-scale, scale, seed=seed)

    def _states(self, ids):
        layers = keras.layers
        states = Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            embeddings_initializer=self._init(1, 0.1),
            name="embedding",
        )(ids)
        if self.trunk == "conv":
            states = layers.Conv1D(
                self.units,
                self.window,
                padding="causal",
                activation="relu",
                kernel_initializer=self._init(2),
                name="conv",
            )(states)
            inner = layers.Dense(
                self.units,
                activation="relu",
                kernel_initializer=self._init(3),
                name="dense",
            )(states)
            states = states + inner
        elif self.trunk == "gru":
            orthogonal = keras.initializers.Orthogonal(
                seed=None if self.seed is None else 1000 * self.seed + 3
            )
            states = layers.GRU(
                self.units,
                return_sequences=True,
                kernel_initializer=self._init(2),
                recurrent_initializer=orthogonal,
                name="gru",
            )(states, mask=ops.not_equal(ids, PAD))
        return states

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return self.add_losses(self.text_loss(x, y, y_pred, sample_weight))

    def _check(self, x, name="x"):
        if not check.is_array(x):
            return x
        return check_ids(x, self.vocabulary_size, name)

    def _check_target(self, x, y):
        """Target that Keras gets; here: none may be given."""
        if y is not None:
            check.fail("y", "no target: the text is its own", type(y).__name__)

    def fit(
        self,
        x=None,
        y=None,
        *args,
        validation_data=None,
        sample_weight=None,
        **kwargs,
    ):
        """As ``keras.Model.fit``; checks token ids and labels first."""
        self.refuse_loss()
        x = self._check(x)
        y = self._check_target(x, y)
        if check.is_array(validation_data):
            rows, labels = validation_data, None
            if isinstance(validation_data, tuple):
                rows, labels = (*validation_data, None)[:2]
            rows = self._check(rows, "validation_data")
            validation_data = (rows, self._check_target(rows, labels))
        if y is None and sample_weight is not None:
            y = x  # Keras drops weights in silence if there is no target
        return super().fit(
            x,
            y,
            *args,
            validation_data=validation_data,
            sample_weight=sample_weight,
            **kwargs,
        )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.evaluate``; checks token ids and labels first."""
        self.refuse_loss()
        x = self._check(x)
        y = self._check_target(x, y)
        if y is None and kwargs.get("sample_weight") is not None:
            y = x
        return super().evaluate(x, y, *args, **kwargs)

    def encode(self, x):
        """Codes of texts: float32 ``(n, latent_dim)``."""
        return in_batches(self.encoder, self._check(x))

    def get_config(self):
        own = {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "trunk": self.trunk,
            "window": self.window,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
