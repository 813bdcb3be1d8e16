"""Models of token ids: a denoiser, a language model, a classifier.

All three read texts as rows of ids padded with 0 (:mod:`utils.tokens`) and
share one encoder: an embedding, an optional trunk that looks at the order of
the tokens, and a mean over the real tokens. Padding never counts: neither in
a mean, nor in a loss, nor in a prediction.
"""

import keras
import numpy as np
from keras import ops

from utils.models._old_base import OwnLossModel
from utils.nn.layers import PACKAGE, Embedding
from utils.support import validation as check
from utils.support.batches import in_batches
from utils.support.token_ids import PAD, START, check_ids, draw_token

__all__ = [
    "DenoisingText",
    "LanguageModel",
    "MaskedMean",
    "TextClassifier",
    "TextModel",
    "TokenDropout",
]

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


class _SelfSupervised(TextModel):
    """A text model whose targets are the tokens of its input."""

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(vocabulary_size, **kwargs)
        self.head = keras.layers.Dense(
            self.vocabulary_size, kernel_initializer=self._init(9), name="head"
        )
        self.head.build((None, self.latent_dim))
        self.built = True
        self.nats_tracker = keras.metrics.Mean(name="nats_per_token")

    def token_nats(self, x, outputs):
        """−log p of each token, ``(n, t)``, 0 where there is padding."""
        log_p = ops.log_softmax(ops.cast(outputs["logits"], "float32"))
        if len(log_p.shape) == 2:  # one distribution for a whole text
            nats = -ops.take_along_axis(log_p, x, axis=1)
        else:
            nats = -ops.take_along_axis(log_p, x[..., None], axis=2)[..., 0]
        return nats * ops.cast(ops.not_equal(x, PAD), nats.dtype)

    def text_loss(self, x, y, outputs, sample_weight):
        """Nats per real token of the batch."""
        nats = ops.sum(self.token_nats(x, outputs), axis=1)
        count = ops.sum(ops.cast(ops.not_equal(x, PAD), nats.dtype), axis=1)
        if sample_weight is not None:
            weight = ops.cast(sample_weight, nats.dtype)
            nats, count = nats * weight, count * weight
        # a weighted mean over all tokens so far, not over batches
        tokens = ops.maximum(count, 1e-9)
        self.nats_tracker.update_state(nats / tokens, count)
        return ops.sum(nats) / ops.maximum(ops.sum(count), 1e-9)

    def score(self, x):
        """−log p of each text in nats, summed over its tokens: ``(n,)``."""
        return in_batches(
            lambda ids: ops.sum(self.token_nats(ids, self(ids)), axis=1),
            self._check(x),
            batch_size=256,
        )


@keras.saving.register_keras_serializable(package=PACKAGE)
class DenoisingText(_SelfSupervised):
    """Denoising autoencoder of a text as a bag of words.

    Some tokens are removed; the code of what is left has to say which tokens
    the whole text had. One softmax over the vocabulary predicts all tokens of
    a text, whatever their order, which makes training cheap:

        L = − Σ over texts and tokens of log p(token | damaged text) / tokens.

    Pennington et al. and Mikolov et al. learn word vectors from neighbours a
    few words away; here the whole text is the neighbourhood.

    Args:
        vocabulary_size: Number of ids, reserved ones included.
        embedding_dim: Width of the word vectors.
        units: Width of the trunk's states; unused by ``"bag"``.
        trunk: ``"bag"`` averages the word vectors, ``"conv"`` a causal
            convolution's outputs, ``"gru"`` a gated recurrent unit's.
        window: Tokens that the convolution sees, the current one included.
        rate: Probability in [0, 1) that a token is removed in training.
        seed: Integer seed of weights and damage, or ``None``.

    Call arguments:
        inputs: Int tensor (batch, t), padded with 0.
        training: Remove tokens only if true.

    Output:
        Dict with ``"code"`` (batch, latent_dim), ``"logits"`` (batch,
        vocabulary_size).

    Raises:
        ValueError: an argument out of range; in ``fit``, ids beyond the
            vocabulary, floats, empty texts, a target.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=64,
        units=64,
        trunk="bag",
        window=8,
        rate=0.3,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size,
            embedding_dim=embedding_dim,
            units=units,
            trunk=trunk,
            window=window,
            seed=seed,
            **kwargs,
        )
        self.rate = check.check_number(rate, "rate", 0.0, 0.99)
        self.damage = TokenDropout(self.rate, self.seed)

    def call(self, inputs, training=False):
        code = self.encoder(self.damage(inputs, training=training))
        return {"code": code, "logits": self.head(code)}

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package=PACKAGE)
class LanguageModel(_SelfSupervised):
    """Predicts each token from those before it (Bengio et al. 2003).

    The product of its predictions is a probability of the whole text, so the
    loss, −log p in nats per real token, is comparable between models with the
    same tokens; divided by log 2 it is in bits. The text's end is not
    predicted unless the texts end with a token of their own.

    Args:
        vocabulary_size: Number of ids, reserved ones included.
        embedding_dim: Width of the token vectors.
        units: Width of the states.
        trunk: ``"gru"`` remembers all tokens before; ``"conv"`` sees the last
            ``window``; ``"bag"`` only the last one.
        window: Tokens that the convolution sees.
        seed: Integer seed of the weights, or ``None``.

    Call arguments:
        inputs: Int tensor (batch, t), padded with 0. Position i of the
            output is computed from positions before i.

    Output:
        Dict with ``"logits"`` (batch, t, vocabulary_size).

    Raises:
        ValueError: an argument out of range; in ``fit``, ids beyond the
            vocabulary, floats, empty texts, a target.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=32,
        units=128,
        trunk="gru",
        window=16,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size,
            embedding_dim=embedding_dim,
            units=units,
            trunk=trunk,
            window=window,
            seed=seed,
            **kwargs,
        )

    def call(self, inputs, training=False):
        start = ops.full_like(inputs[:, :1], START)
        before = ops.concatenate([start, inputs[:, :-1]], axis=1)
        return {"logits": self.head(self.states(before))}

    def sample(self, n=1, length=100, *, temperature=1.0, prompt=None, seed=0):
        """Draw texts token by token.

        Args:
            n: Number of texts.
            length: Tokens of each, the prompt included.
            temperature: The logits are divided by it: below 1 likelier
                tokens gain, at 0 the likeliest is taken.
            prompt: Ids that every text begins with, or ``None``.
            seed: Integer seed.

        Returns:
            Int32 array ``(n, length)`` without reserved ids.
        """
        n, length = check.check_int(n, "n"), check.check_int(length, "length")
        temperature = check.check_number(temperature, "temperature", 0.0)
        rng = np.random.default_rng(check.check_seed(seed))
        ids = np.zeros((n, 0), "int32")
        if prompt is not None:
            prompt = self._check(np.asarray(prompt)[None], "prompt")
            ids = np.repeat(prompt, n, axis=0)[:, :length]
        while ids.shape[1] < length:
            new = draw_token(self.next_logits(ids), temperature, rng)
            ids = np.concatenate([ids, new[:, None]], axis=1)
        return ids

    def next_logits(self, ids):
        """Logits of the token after each row of ids: ``(n, vocabulary)``."""
        start = np.full((len(ids), 1), START, "int32")
        context = np.concatenate([start, ids], axis=1)
        if self.trunk != "gru":
            context = context[:, -self.window :]
        states = self.states(ops.convert_to_tensor(context))
        return ops.convert_to_numpy(self.head(states[:, -1]))


@keras.saving.register_keras_serializable(package=PACKAGE)
class TextClassifier(TextModel):
    """The same encoder, and a new layer that tells classes apart.

    Args:
        vocabulary_size: Number of ids, reserved ones included.
        num_classes: Number of classes ≥ 2.
        embedding_dim, units, trunk, window: As the pretrained model's.
        seed: Integer seed of the weights, or ``None``.

    Loss:
        Cross-entropy of the class in nats per text. The metric
        ``accuracy`` is the share of texts whose likeliest class is right.

    Output:
        Logits (batch, num_classes).

    Raises:
        ValueError: an argument out of range; in ``fit``, ids beyond the
            vocabulary, floats, empty texts, labels of the wrong shape or
            outside 0 … num_classes − 1; in ``adopt``, another encoder.
    """

    def __init__(
        self,
        vocabulary_size,
        num_classes,
        embedding_dim=64,
        units=64,
        trunk="bag",
        window=8,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size,
            embedding_dim=embedding_dim,
            units=units,
            trunk=trunk,
            window=window,
            seed=seed,
            **kwargs,
        )
        self.num_classes = check.check_int(num_classes, "num_classes", 2)
        self.head = keras.layers.Dense(
            self.num_classes, kernel_initializer=self._init(9), name="head"
        )
        self.head.build((None, self.latent_dim))
        self.built = True
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")

    def call(self, inputs, training=False):
        return self.head(self.encoder(inputs))

    def text_loss(self, x, y, logits, sample_weight):
        """Mean cross-entropy of the batch; updates the accuracy."""
        logits = ops.cast(logits, "float32")
        y = ops.reshape(y, (-1,))
        nats = ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
        best = ops.cast(ops.argmax(logits, axis=-1), "int32")
        right = ops.equal(best, ops.cast(y, "int32"))
        self.accuracy_tracker.update_state(right, sample_weight)
        if sample_weight is not None:
            nats = nats * ops.cast(sample_weight, nats.dtype)
        return ops.mean(nats)

    def _check_target(self, x, y):
        if not check.is_array(x):
            return y
        if y is None:
            check.fail("y", "one label for each text", "None")
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        return check.check_labels(y, "y", len(x), self.num_classes)

    def adopt(self, pretrained):
        """Copy the encoder of a pretrained model; the head stays new.

        Args:
            pretrained: A model of this module with an encoder of the same
                shape. Its own weights are not touched by later training.
        """
        ours, theirs = (
            [tuple(w.shape) for w in model.encoder.weights]
            for model in (self, pretrained)
        )
        if ours != theirs:
            check.fail("pretrained", f"an encoder of shapes {ours}", theirs)
        self.encoder.set_weights(pretrained.encoder.get_weights())

    def classify(self, x):
        """Class probabilities of texts: float32 ``(n, num_classes)``."""
        return in_batches(lambda ids: ops.softmax(self(ids)), self._check(x))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
