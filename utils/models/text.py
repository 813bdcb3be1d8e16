"""Models of token ids: a denoiser, two language models, a classifier.

All read texts as rows of ids padded with 0 (:mod:`utils.data.tokens`)
through a *trunk*: any network from ids to one state a token. The code of a
text is the mean of the states of its real tokens. Padding never counts:
neither in a mean, nor in a loss, nor in a prediction.
"""

import keras
import numpy as np
from keras import ops

from utils.models.base import (
    CourseModel,
    builds,
    refuse_target,
    shapes_of,
    spec_of,
    weighted_mean,
)
from utils.nn import networks
from utils.nn.layers import PACKAGE, Embedding
from utils.support import validation as check
from utils.support.batches import in_batches
from utils.support.token_ids import (
    PAD,
    START,
    UNKNOWN,
    check_ids,
    draw_token,
)

__all__ = [
    "MASK",
    "AttentionBlock",
    "DenoisingText",
    "LanguageModel",
    "MaskedLanguageModel",
    "MaskedMean",
    "Positions",
    "TextClassifier",
    "TextModel",
    "TokenDropout",
    "text_nats",
]

MASK = START  # stands for a hidden token: no text contains it


class TextModel(CourseModel):
    """What the models of texts share: trunk, mean over tokens, head.

    A subclass adds ``call`` and the objective.

    Args:
        trunk: Keras model from ids ``(batch, length)``, of any length, to
            states ``(batch, length, units)``. It holds the table of word
            vectors.
        vocabulary_size: Number of ids, reserved ones included.
        head: Keras layer or model from what it reads to ``num_outputs``
            logits; ``None`` makes a linear one.
        num_outputs: Logits; ``None`` for one an id.
        seed: Integer seed of the linear head, or ``None``.

    Attributes:
        encoder: Keras model from ids to codes ``(batch, latent_dim)``.
        per_token: Whether the head reads the state of each token, or the
            code of the text.

    Raises:
        ValueError: an argument out of range; a trunk or head of other
            shapes; a trunk whose table has fewer rows than there are ids; in
            ``fit``, ids beyond the vocabulary, floats, empty texts, and a
            target where the text is its own.
    """

    per_token = False

    def __init__(
        self,
        trunk,
        vocabulary_size,
        *,
        head=None,
        num_outputs=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = check.check_int(
            vocabulary_size, "vocabulary_size", minimum=4
        )
        self.seed = check.check_seed(seed)
        self.trunk = trunk
        self.latent_dim = self._check_trunk()
        num_outputs = num_outputs or self.vocabulary_size
        if head is None:
            head = keras.layers.Dense(
                num_outputs,
                kernel_initializer=networks.glorot(seed, 9),
                name="head",
                dtype=self.dtype_policy,
            )
        self.head = head
        self._check_head(num_outputs)
        ids = keras.Input((None,), dtype="int32", name="ids")
        code = MaskedMean(name="mean")(trunk(ids), ids)
        self.encoder = keras.Model(ids, code, name="encoder")
        self.built = True

    @builds("trunk")
    def bag(vocabulary_size, embedding_dim=64, *, seed=None, dtype=None):
        """A table of word vectors alone: order means nothing.

        Args:
            vocabulary_size: Number of ids, reserved ones included.
            embedding_dim: Width of the word vectors.
            seed: Integer seed of initial weights and noise, or ``None``.
            dtype: Dtype policy of trunk and model.
            **objective: As for the class.
        """
        ids, vectors = _word_vectors(
            vocabulary_size, embedding_dim, seed, dtype
        )
        return keras.Model(ids, vectors, name="trunk")

    @builds("trunk")
    def conv(
        vocabulary_size,
        embedding_dim=64,
        units=64,
        *,
        window=8,
        seed=None,
        dtype=None,
    ):
        """As :meth:`bag`, then a causal convolution and a dense layer.

        ``units`` is the width of the states, ``window`` how many tokens the
        convolution sees, the current one included.
        """
        ids, vectors = _word_vectors(
            vocabulary_size, embedding_dim, seed, dtype
        )
        seen = keras.layers.Conv1D(
            check.check_int(units, "units"),
            check.check_int(window, "window"),
            padding="causal",
            activation="relu",
            kernel_initializer=networks.glorot(seed, 2),
            name="conv",
            dtype=dtype,
        )(vectors)
        inner = keras.layers.Dense(
            units,
            activation="relu",
            kernel_initializer=networks.glorot(seed, 3),
            name="dense",
            dtype=dtype,
        )(seen)
        states = keras.layers.Add(name="states", dtype=dtype)([seen, inner])
        return keras.Model(ids, states, name="trunk")

    @builds("trunk")
    def gru(
        vocabulary_size, embedding_dim=64, units=64, *, seed=None, dtype=None
    ):
        """As :meth:`bag`, then a gated recurrent unit that skips padding.

        ``units`` is the width of the states, which remember all tokens
        before.
        """
        ids, vectors = _word_vectors(
            vocabulary_size, embedding_dim, seed, dtype, mask_zero=True
        )
        states = keras.layers.GRU(
            check.check_int(units, "units"),
            return_sequences=True,
            kernel_initializer=networks.glorot(seed, 2),
            recurrent_initializer=keras.initializers.Orthogonal(
                seed=networks.seed_of(seed, 3)
            ),
            name="gru",
            dtype=dtype,
        )(vectors)
        return keras.Model(ids, states, name="trunk")

    @builds("trunk")
    def attention(
        vocabulary_size,
        embedding_dim=64,
        *,
        causal,
        heads=4,
        seed=None,
        dtype=None,
    ):
        """As :meth:`bag`, then positions and one block of attention.

        ``causal`` says whether a token sees those before it alone, as a
        :class:`LanguageModel` needs, or all of its text. The states are as
        wide as the word vectors, ``heads`` × a whole number.
        """
        ids, vectors = _word_vectors(
            vocabulary_size, embedding_dim, seed, dtype
        )
        states = Positions(name="positions", dtype=dtype)(vectors)
        states = AttentionBlock(
            heads, causal=causal, seed=seed, name="block", dtype=dtype
        )(states, ids)
        states = keras.layers.LayerNormalization(name="norm", dtype=dtype)(
            states
        )
        return keras.Model(ids, states, name="trunk")

    def _check_trunk(self):
        """Refuse a trunk of another kind; the width of its states."""
        taken, made = shapes_of(self.trunk, "trunk")
        if taken != (None,) or len(made) != 2 or made[1] is None:
            check.fail(
                "trunk",
                "one from ids of any length, (None,), to states (None, units)",
                f"{taken} to {made}",
            )
        rows = [
            layer.input_dim
            for layer in self.trunk.layers
            if isinstance(layer, keras.layers.Embedding)
        ]
        if rows and max(rows) < self.vocabulary_size:
            check.fail(
                "trunk",
                f"a table of {self.vocabulary_size} rows, one for each id",
                f"{max(rows)} rows",
            )
        return made[1]

    def _check_head(self, num_outputs):
        """Build the head, or refuse one of other shapes."""
        if not isinstance(self.head, keras.layers.Layer):
            check.fail("head", "a Keras layer", type(self.head).__name__)
        axes = (None, None) if self.per_token else (None,)
        shape = (*axes, self.latent_dim)
        expected = f"a layer from {shape} to {(*axes, num_outputs)}"
        try:
            made = self.head(keras.KerasTensor(shape)).shape
        except ValueError:  # Keras's words stand above ours
            check.fail("head", expected, "one that takes another shape")
        if made != (*axes, num_outputs):
            check.fail("head", expected, f"one to {made}")

    # -------------------------------------------------------------- checks

    def takes(self):
        return spec_of((None,), "int32")

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "the text is its own")
        return self.check_input(x, name), None

    def check_input(self, x, name="x"):
        return check_ids(x, self.vocabulary_size, name)

    # --------------------------------------------------------------- verbs

    def encode(self, x):
        """Codes of texts: float32 ``(n, latent_dim)``."""
        return in_batches(self.encoder, self.check_input(x))


@keras.saving.register_keras_serializable(package=PACKAGE)
class DenoisingText(TextModel):
    """Denoising autoencoder of a text as a bag of words.

    Some tokens are removed; the code of what is left has to say which tokens
    the whole text had. One softmax over the vocabulary predicts all tokens of
    a text, whatever their order, which makes training cheap:

        L = − Σ over texts and tokens of log p(token | damaged text) / tokens.

    Pennington et al. and Mikolov et al. learn word vectors from neighbours a
    few words away; here the whole text is the neighbourhood.

    Example:

    A trunk of your own, here of word vectors and one layer above them:

    >>> trunk = keras.Sequential(
    ...     [
    ...         keras.Input((None,), dtype="int32"),
    ...         keras.layers.Embedding(100, 16),
    ...         keras.layers.Dense(8, "relu"),
    ...     ]
    ... )
    >>> model = DenoisingText(trunk, vocabulary_size=100, rate=0.2)
    >>> model.encode(np.array([[5, 3, 7], [9, 0, 0]])).shape
    (2, 8)

    The course's own, in one call:

    >>> model = DenoisingText.bag(100, embedding_dim=16, rate=0.2, seed=0)
    >>> model.encode(np.array([[5, 3, 7], [9, 0, 0]])).shape
    (2, 16)

    Args:
        trunk: Keras model from ids ``(batch, length)`` to states ``(batch,
            length, units)``.
        vocabulary_size: Number of ids, reserved ones included.
        head: Keras layer or model from codes ``(batch, units)`` to logits
            ``(batch, vocabulary_size)``; ``None`` makes a linear one.
        rate: Probability in [0, 1) that a token is removed in training.
        seed: Integer seed of damage and linear head, or ``None``.

    Loss:
        As above, in nats per real token of the batch; ``sample_weight``
        weighs texts. The metric ``nats_per_token`` is the mean over all
        tokens so far, not over batches.

    Call arguments:
        inputs: Int tensor (batch, t), padded with 0.
        training: Remove tokens only if true.

    Output:
        Dict with ``"code"`` (batch, latent_dim), ``"logits"`` (batch,
        vocabulary_size).

    Raises:
        ValueError: what :class:`TextModel` refuses; a rate out of range.
    """

    def __init__(
        self,
        trunk,
        vocabulary_size,
        *,
        head=None,
        rate=0.3,
        seed=None,
        **kwargs,
    ):
        super().__init__(trunk, vocabulary_size, head=head, seed=seed, **kwargs)
        self.rate = check.check_number(rate, "rate", 0.0, 0.99)
        self.damage = TokenDropout(self.rate, self.seed)
        self.nats_tracker = keras.metrics.Mean(name="nats_per_token")

    def call(self, inputs, training=False):
        damaged = self.damage(inputs, training=training)
        code = self.encoder(damaged, training=training)
        return {"code": code, "logits": self.head(code, training=training)}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nats, count = text_nats(x, y_pred["logits"], sample_weight)
        return self.add_losses(_per_token(nats, count, self.nats_tracker))

    def example_losses(self, x):
        """−log p of each text in nats, summed over its tokens: ``(n,)``."""
        return _losses_of_texts(self, x)


@keras.saving.register_keras_serializable(package=PACKAGE)
class LanguageModel(TextModel):
    """Predicts each token from those before it (Bengio et al. 2003).

    The product of its predictions is a probability of the whole text, so the
    loss, −log p in nats per real token, is comparable between models with the
    same tokens; divided by log 2 it is in bits. The text's end is not
    predicted unless the texts end with a token of their own.

    ``LanguageModel.gru`` remembers all tokens before, ``.attention`` looks
    back at them, ``.conv`` sees the last ``window``, ``.bag`` only the last.

    Example:

    >>> model = LanguageModel.conv(20, 8, units=16, window=4, seed=0)
    >>> model.example_losses(np.array([[5, 3, 7], [9, 3, 0]])).shape
    (2,)
    >>> model.sample(2, length=6, seed=0).shape
    (2, 6)

    Args:
        trunk: Keras model from ids ``(batch, length)`` to states ``(batch,
            length, units)``, each from its token and those before.
        vocabulary_size: Number of ids, reserved ones included.
        head: Keras layer or model from states ``(batch, length, units)`` to
            logits ``(batch, length, vocabulary_size)``; ``None`` makes a
            linear one.
        window: Tokens that a state depends on, its own included, so that
            sampling need not read more; ``None`` for all.
        seed: Integer seed of the linear head, or ``None``.

    Loss:
        Nats per real token, as in :class:`DenoisingText`.

    Call arguments:
        inputs: Int tensor (batch, t), padded with 0. Position i of the
            output is computed from positions before i.

    Output:
        Dict with ``"logits"`` (batch, t, vocabulary_size).

    Raises:
        ValueError: what :class:`TextModel` refuses; a trunk that reads
            ahead.
    """

    per_token = True

    def __init__(
        self,
        trunk,
        vocabulary_size,
        *,
        head=None,
        window=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(trunk, vocabulary_size, head=head, seed=seed, **kwargs)
        self.window = window
        if window is not None:
            self.window = check.check_int(window, "window")
        self._check_order()
        self.nats_tracker = keras.metrics.Mean(name="nats_per_token")

    def _check_order(self):
        """Refuse a trunk whose states know the tokens to come."""
        ids = np.full((2, 5), START, "int32")
        ids[1, -1] = UNKNOWN  # another end, the same beginning
        states = self.trunk(ops.convert_to_tensor(ids))
        first, second = ops.convert_to_numpy(ops.cast(states, "float32"))
        if np.abs(first - second)[:-1].max() > 1e-6:
            expected = "states from their token and those before it"
            check.fail("trunk", expected, "one that reads ahead")

    def call(self, inputs, training=False):
        start = ops.full_like(inputs[:, :1], START)
        before = ops.concatenate([start, inputs[:, :-1]], axis=1)
        states = self.trunk(before, training=training)
        return {"logits": self.head(states, training=training)}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        nats, count = text_nats(x, y_pred["logits"], sample_weight)
        return self.add_losses(_per_token(nats, count, self.nats_tracker))

    def example_losses(self, x):
        """−log p of each text in nats, summed over its tokens: ``(n,)``."""
        return _losses_of_texts(self, x)

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
            prompt = self.check_input(np.asarray(prompt)[None], "prompt")
            ids = np.repeat(prompt, n, axis=0)[:, :length]
        while ids.shape[1] < length:
            new = draw_token(self.next_logits(ids), temperature, rng)
            ids = np.concatenate([ids, new[:, None]], axis=1)
        return ids

    def next_logits(self, ids):
        """Logits of the token after each row of ids: ``(n, vocabulary)``."""
        start = np.full((len(ids), 1), START, "int32")
        context = np.concatenate([start, ids], axis=1)
        if self.window is not None:
            context = context[:, -self.window :]
        states = self.trunk(ops.convert_to_tensor(context))
        return ops.convert_to_numpy(self.head(states[:, -1:])[:, 0])


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskedLanguageModel(TextModel):
    """Predicts hidden tokens from all that is left, on both sides.

    Devlin et al. (2019): some tokens are replaced by a token that no text
    contains (here id 1), and the state at each such place has to say what
    stood there. Only hidden places are scored: copying what is in sight
    earns nothing. (Their model leaves one chosen token in ten as it is and
    turns another one into a random word; here all become the mask.)

        L = − Σ over hidden tokens of log p(token | the rest) / hidden tokens.

    It is no probability of the whole text and cannot be compared with a
    :class:`LanguageModel`'s.

    Example:

    >>> model = MaskedLanguageModel.attention(20, 8, causal=False, seed=0)
    >>> model.fill(np.array([[5, 1, 7], [9, 3, 1]])).shape
    (2, 3)

    Args:
        trunk: Keras model from ids ``(batch, length)`` to states ``(batch,
            length, units)``, which may read ahead.
        vocabulary_size, head: As for :class:`LanguageModel`.
        rate: Probability in (0, 1) that a token is hidden.
        seed: Integer seed of what is hidden and of the linear head, or
            ``None``.

    Loss:
        As above, in nats per hidden token of the batch; ``sample_weight``
        weighs texts. In training a draw hides tokens. In ``evaluate`` one
        token in 1/``rate`` is hidden, rounded, beginning at a place that the
        text itself decides: the same each time, in any batch. The metric
        ``nats_per_token`` is the mean over all hidden tokens so far.

    Call arguments:
        inputs: Int tensor (batch, t), padded with 0.
        training: Hide tokens only if true.

    Output:
        Dict with ``"logits"`` (batch, t, vocabulary_size), ``"hidden"``
        (batch, t), 1 where a token was hidden.

    Raises:
        ValueError: what :class:`TextModel` refuses; a rate out of range.
    """

    per_token = True

    def __init__(
        self,
        trunk,
        vocabulary_size,
        *,
        head=None,
        rate=0.15,
        seed=None,
        **kwargs,
    ):
        super().__init__(trunk, vocabulary_size, head=head, seed=seed, **kwargs)
        self.rate = check.check_number(rate, "rate", 0.01, 0.99)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.nats_tracker = keras.metrics.Mean(name="nats_per_token")

    def call(self, inputs, training=False):
        hidden = ops.zeros_like(inputs, dtype="bool")
        if training:
            draw = keras.random.uniform(
                ops.shape(inputs), seed=self.seed_generator
            )
            hidden = (draw < self.rate) & ops.not_equal(inputs, PAD)
        return self.read(inputs, hidden, training)

    def read(self, inputs, hidden, training=False):
        """Output of a call that hides what is true in ``hidden``."""
        left = ops.where(hidden, ops.full_like(inputs, MASK), inputs)
        states = self.trunk(left, training=training)
        logits = self.head(states, training=training)
        return {"logits": logits, "hidden": ops.cast(hidden, "float32")}

    def hidden_in_evaluation(self, inputs):
        """Bool tensor like the ids: every so manieth real token."""
        every = max(1, round(1 / self.rate))
        first = ops.sum(inputs, axis=1, keepdims=True)  # padding adds nothing
        places = ops.arange(inputs.shape[1], dtype=first.dtype)[None]
        chosen = ops.equal((places + first) % every, 0)
        return chosen & ops.not_equal(inputs, PAD)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if not training:
            y_pred = self.read(x, self.hidden_in_evaluation(x))
        nats, count = text_nats(
            x, y_pred["logits"], sample_weight, y_pred["hidden"]
        )
        return self.add_losses(_per_token(nats, count, self.nats_tracker))

    def example_losses(self, x):
        """−log p in nats of the tokens hidden in ``evaluate``: ``(n,)``."""

        def losses(ids):
            made = self.read(ids, self.hidden_in_evaluation(ids))
            return text_nats(ids, made["logits"], None, made["hidden"])[0]

        return in_batches(losses, self.check_input(x), batch_size=256)

    def fill(self, x):
        """The texts with the likeliest word in place of each id 1.

        Args:
            x: Int array ``(n, t)`` in which 1 stands for what is asked.

        Returns:
            Int32 array ``(n, t)``; no reserved id is filled in.
        """
        x = self.check_input(x)

        def likeliest(ids):
            logits = self(ids)["logits"][..., UNKNOWN + 1 :]
            return ops.argmax(logits, axis=-1) + UNKNOWN + 1

        return np.where(x == MASK, in_batches(likeliest, x), x).astype("int32")


@keras.saving.register_keras_serializable(package=PACKAGE)
class TextClassifier(TextModel):
    """The same encoder, and a new layer that tells classes apart.

    Example:

    >>> denoiser = DenoisingText.bag(100, embedding_dim=16, seed=0)
    >>> model = TextClassifier.bag(100, 16, num_classes=3, seed=1)
    >>> model.adopt(denoiser)
    >>> model.classify(np.array([[5, 3, 7], [9, 0, 0]])).shape
    (2, 3)

    Args:
        trunk: Keras model from ids ``(batch, length)`` to states ``(batch,
            length, units)``, as the pretrained model's.
        vocabulary_size: Number of ids, reserved ones included.
        num_classes: Number of classes ≥ 2.
        head: Keras layer or model from codes ``(batch, units)`` to logits
            ``(batch, num_classes)``; ``None`` makes a linear one.
        seed: Integer seed of the linear head, or ``None``.

    Loss:
        Cross-entropy of the class in nats per text. The metric
        ``accuracy`` is the share of texts whose likeliest class is right.

    Output:
        Logits (batch, num_classes).

    Raises:
        ValueError: what :class:`TextModel` refuses; in ``fit``, labels of
            the wrong shape or outside 0 … num_classes − 1; in ``adopt``,
            another trunk.
    """

    def __init__(
        self,
        trunk,
        vocabulary_size,
        num_classes,
        *,
        head=None,
        seed=None,
        **kwargs,
    ):
        num_classes = check.check_int(num_classes, "num_classes", 2)
        super().__init__(
            trunk,
            vocabulary_size,
            head=head,
            num_outputs=num_classes,
            seed=seed,
            **kwargs,
        )
        self.num_classes = num_classes
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")

    def call(self, inputs, training=False):
        code = self.encoder(inputs, training=training)
        return self.head(code, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        logits = ops.cast(y_pred, "float32")
        y = ops.reshape(y, (-1,))
        nats = ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
        best = ops.cast(ops.argmax(logits, axis=-1), "int32")
        right = ops.equal(best, ops.cast(y, "int32"))
        self.accuracy_tracker.update_state(right, sample_weight)
        return self.add_losses(weighted_mean(nats, sample_weight))

    def check_data(self, x, y=None, name="x"):
        x = self.check_input(x, name)
        if y is None:
            check.fail("y", "one label for each text", "None")
        y = check.as_array(y, "y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        return x, check.check_labels(y, "y", len(x), self.num_classes)

    def class_ids(self, data):
        return data[1]

    def adopt(self, pretrained):
        """Copy the trunk of a pretrained model; the head stays new.

        Args:
            pretrained: A model of this module with a trunk of the same
                shapes. Its own weights are not touched by later training.
        """
        ours, theirs = (
            [tuple(w.shape) for w in model.trunk.weights]
            for model in (self, pretrained)
        )
        if ours != theirs:
            check.fail("pretrained", f"a trunk of shapes {ours}", theirs)
        self.trunk.set_weights(pretrained.trunk.get_weights())

    def classify(self, x):
        """Class probabilities of texts: float32 ``(n, num_classes)``."""
        return in_batches(
            lambda ids: ops.softmax(self(ids)), self.check_input(x)
        )


# ------------------------------------------------------------------- layers


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


@keras.saving.register_keras_serializable(package=PACKAGE)
class Positions(keras.layers.Layer):
    """Adds waves that tell the places of a text apart.

    Attention does not know in which order its tokens stand. Vaswani et al.
    (2017) multiply the word vectors (batch, t, k) by √k and add, at place t
    in column i, sin(t ω) if i is even and cos(t ω) if it is odd, with
    ω = 10 000^(−2⌊i/2⌋/k): no weights, and no longest text.
    """

    def call(self, vectors):
        width = vectors.shape[-1]
        column = ops.arange(width)
        power = ops.cast(column // 2, "float32") * (-2.0 / width)
        place = ops.arange(ops.shape(vectors)[1], dtype="float32")[:, None]
        angle = place * ops.power(10_000.0, power)
        waves = ops.where(column % 2 == 0, ops.sin(angle), ops.cos(angle))
        return vectors * width**0.5 + ops.cast(waves, vectors.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package=PACKAGE)
class AttentionBlock(keras.layers.Layer):
    """One block of a transformer: attention, then a dense layer, both added.

    With layers normalised before each half (Vaswani et al. 2017; Xiong et
    al. 2020):

        h ← h + attention(norm(h)),   h ← h + W₂ gelu(W₁ norm(h)).

    No token attends to padding and, if ``causal``, none to a later one.

    Args:
        heads: Heads of the attention; the states' width is a multiple.
        causal: Whether a token sees itself and those before it only.
        seed: Integer seed of the initial weights, or ``None``.

    Call arguments:
        states: Tensor (batch, t, k).
        ids: Int tensor (batch, t), 0 where padded.

    Output shape:
        That of ``states``.

    Raises:
        ValueError: a width that the heads do not divide.
    """

    def __init__(self, heads=4, *, causal=False, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.heads = check.check_int(heads, "heads")
        self.causal = check.check_flag(causal, "causal")
        self.seed = check.check_seed(seed)

    def build(self, states_shape, ids_shape=None):
        width = states_shape[-1]
        if width % self.heads:
            check.fail("heads", f"a divisor of the width, {width}", self.heads)
        policy = {"dtype": self.dtype_policy}
        self.norms = [
            keras.layers.LayerNormalization(name=name, **policy)
            for name in ("norm_attention", "norm_dense")
        ]
        self.attend = keras.layers.MultiHeadAttention(
            self.heads, width // self.heads, name="attention", **policy
        )
        self.wide = keras.layers.Dense(
            2 * width,
            activation="gelu",
            kernel_initializer=networks.glorot(self.seed, 6),
            name="wide",
            **policy,
        )
        self.narrow = keras.layers.Dense(
            width,
            kernel_initializer=networks.glorot(self.seed, 7),
            name="narrow",
            **policy,
        )
        self.attend.build(states_shape, states_shape)
        for norm in self.norms:
            norm.build(states_shape)
        self.wide.build(states_shape)
        self.narrow.build((*states_shape[:-1], 2 * width))
        # one seeded initialiser would make query, key and value the same
        if self.seed is not None:
            kernels = [w for w in self.attend.weights if "kernel" in w.name]
            for number, kernel in enumerate(kernels, 2):
                draw = networks.glorot(self.seed, number)
                flat = (width, width)
                kernel.assign(ops.reshape(draw(flat), kernel.shape))

    def call(self, states, ids, training=False):
        seen = ops.not_equal(ids, PAD)[:, None, :]
        if self.causal:
            place = ops.arange(ops.shape(ids)[1])
            seen = seen & (place[None, None, :] <= place[None, :, None])
        first, second = self.norms
        h = first(states)
        states = states + self.attend(h, h, attention_mask=seen)
        return states + self.narrow(self.wide(second(states)))

    def compute_output_shape(self, states_shape, ids_shape=None):
        return states_shape

    def get_config(self):
        own = {"heads": self.heads, "causal": self.causal, "seed": self.seed}
        return {**super().get_config(), **own}


# ------------------------------------------------- nats of a text's own tokens


def text_nats(x, logits, sample_weight=None, scored=None):
    """−log p of each text, and its number of real tokens.

    Args:
        x: Int tensor ``(batch, t)``, padded with 0.
        logits: Tensor ``(batch, t, vocabulary_size)``, or ``(batch,
            vocabulary_size)``: one distribution for all tokens of a text.
        sample_weight: Tensor ``(batch,)`` that multiplies both, or ``None``.
        scored: Tensor ``(batch, t)``, 1 where a token counts and 0 where
            not; ``None`` counts all real ones.

    Returns:
        Tensors ``(batch,)``: nats, summed over the real tokens; tokens.
    """
    log_p = ops.log_softmax(ops.cast(logits, "float32"))
    if len(log_p.shape) == 2:
        nats = -ops.take_along_axis(log_p, x, axis=1)
    else:
        nats = -ops.take_along_axis(log_p, x[..., None], axis=2)[..., 0]
    real = ops.cast(ops.not_equal(x, PAD), nats.dtype)
    if scored is not None:
        real = real * ops.cast(scored, nats.dtype)
    nats, count = ops.sum(nats * real, axis=1), ops.sum(real, axis=1)
    if sample_weight is not None:
        weight = ops.cast(sample_weight, nats.dtype)
        nats, count = nats * weight, count * weight
    return nats, count


def _per_token(nats, count, tracker):
    """Nats per real token of the batch; updates the mean over all tokens."""
    tracker.update_state(nats / ops.maximum(count, 1e-9), count)
    return ops.sum(nats) / ops.maximum(ops.sum(count), 1e-9)


def _losses_of_texts(model, x):
    return in_batches(
        lambda ids: text_nats(ids, model(ids)["logits"])[0],
        model.check_input(x),
        batch_size=256,
    )


# --------------------------------------------------- parts of the trunks
# seeds: a trunk's layers are numbers 1 to 7, the head is number 9


def _word_vectors(vocabulary_size, embedding_dim, seed, dtype, mask_zero=False):
    """Input of a trunk, and the vectors of its ids."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    table = Embedding(
        check.check_int(vocabulary_size, "vocabulary_size", minimum=4),
        check.check_int(embedding_dim, "embedding_dim"),
        embeddings_initializer=keras.initializers.RandomUniform(
            -0.1, 0.1, seed=networks.seed_of(seed, 1)
        ),
        mask_zero=mask_zero,
        name="embedding",
        dtype=dtype,
    )
    return ids, table(ids)
