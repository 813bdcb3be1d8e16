"""A network that decides, character by character, which n-gram to believe.

Counting knows much and weighs it by one fixed rule; a network can learn the
weighing. After Neubig and Dyer (2016), "Generalizing and hybridizing
count-based and neural language models".
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
from utils.support.token_ids import PAD, check_ids, draw_token

__all__ = ["NGramMixture", "mixture_inputs"]


def mixture_inputs(ngram, ids, window=8):
    """What a :class:`NGramMixture` reads about each id of a stream.

    Args:
        ngram: A fitted :class:`utils.baselines.ngrams.NGram`. For training
            it must not have counted the same stream: its counts would know
            the answer.
        ids: Stream of ids ``(n,)``.
        window: Ids before each position that the network sees.

    Returns:
        Dict of ``"experts"`` (n, order), the probability that each order
        gives to the id that stands there; ``"evidence"`` (n, 2 · order), see
        :meth:`NGram.experts`; ``"context"`` (n, window), ids before.

    Raises:
        ValueError: not an n-gram, ids that are no stream, window below 1.
    """
    if not hasattr(ngram, "experts"):
        check.fail("ngram", "a fitted NGram", type(ngram).__name__)
    window = check.check_int(window, "window")
    experts, evidence = ngram.experts(ids)
    padded = np.concatenate([np.full(window, PAD), np.asarray(ids)])
    context = np.lib.stride_tricks.sliding_window_view(padded, window)[:-1]
    return {
        "experts": experts.astype("float32"),
        "evidence": evidence,
        "context": context.astype("int32"),
    }


@keras.saving.register_keras_serializable(package=PACKAGE)
class NGramMixture(CourseModel):
    """A neural mixture of the predictions of all n-gram orders.

        p(w | h) = Σ_k g_k(h) p_k(w | h),   g = softmax(gate(h)),

    with p_k the smoothed n-gram of order k. The gate reads the last
    characters and how often each context was seen. Whatever it answers, the
    mixture is a distribution, for it is a weighted mean of distributions.

    Example:

    >>> model = NGramMixture.dense(order=3, vocabulary_size=20, seed=0)
    >>> model.order, model.window
    (3, 8)

    A gate of your own, here one that reads the evidence alone:

    >>> inputs = [keras.Input((8,), dtype="int32"), keras.Input((6,))]
    >>> gate = keras.Model(inputs, keras.layers.Dense(3)(inputs[1]))
    >>> NGramMixture(gate, vocabulary_size=20).order
    3

    Args:
        gate: Keras model from a list of two inputs, the context (batch,
            window) and the evidence (batch, 2 · order) of
            :func:`mixture_inputs`, to one logit an order, (batch, order).
        vocabulary_size: Number of ids.

    Attributes:
        order: Highest order of the n-gram, that is, number of experts.
        window: Ids before the position that the gate sees.

    Call arguments:
        inputs: Dict as from :func:`mixture_inputs`.

    Loss:
        −log p(w | h) in nats, mean over the batch; ``sample_weight`` weighs
        positions.

    Output:
        Dict with ``"gate"`` (batch, order), rows summing to 1, and
        ``"log_p"`` (batch,).

    Raises:
        ValueError: a gate of other shapes; in ``fit``, ``evaluate``,
            ``predict`` and ``example_losses``, arrays of other shapes,
            probabilities outside [0, 1], ids outside the vocabulary; in the
            first two, a target.
    """

    def __init__(self, gate, vocabulary_size, **kwargs):
        super().__init__(autocast=False, **kwargs)  # probabilities stay float32
        self.gate = gate
        self.vocabulary_size = check.check_int(
            vocabulary_size, "vocabulary_size", minimum=2
        )
        self.order, self.window = self._check_gate()
        self.built = True

    @builds("gate")
    def dense(
        order,
        vocabulary_size,
        *,
        window=8,
        embedding_dim=12,
        widths=(64, 64),
        seed=None,
        dtype=None,
    ):
        """Vectors of the ids before, beside the evidence; dense layers.

        Args:
            order: Highest order of the n-gram, that is, number of experts.
            vocabulary_size: Number of ids.
            window: Ids before the position that the gate sees.
            embedding_dim: Width of their vectors.
            widths: Hidden layers of the gate.
            seed: Integer seed of the weights, or ``None``.
            dtype: Dtype policy of gate and model.
        """
        layers = keras.layers
        order = check.check_int(order, "order")
        check.check_int(vocabulary_size, "vocabulary_size", minimum=2)
        window = check.check_int(window, "window")
        embedding_dim = check.check_int(embedding_dim, "embedding_dim")
        widths = check.check_widths(widths, "widths")
        seed = check.check_seed(seed)
        context = keras.Input((window,), dtype="int32", name="context")
        evidence = keras.Input((2 * order,), name="evidence")
        vectors = Embedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(
                -0.1, 0.1, seed=networks.seed_of(seed, 0)
            ),
            dtype=dtype,
        )(context)
        hidden = layers.Concatenate(dtype=dtype)(
            [
                layers.Flatten(dtype=dtype)(vectors),
                layers.Rescaling(0.2, dtype=dtype)(evidence),
            ]
        )
        for number, width in enumerate(widths, start=1):
            hidden = layers.Dense(
                width,
                activation="relu",
                kernel_initializer=networks.glorot(seed, number),
                dtype=dtype,
            )(hidden)
        logits = layers.Dense(
            order, kernel_initializer=networks.glorot(seed, 99), dtype=dtype
        )(hidden)
        return keras.Model([context, evidence], logits, name="gate")

    def _check_gate(self):
        """Refuse a gate of other shapes; its order and window."""
        taken, made = shapes_of(self.gate, "gate")
        fits = isinstance(taken, list) and len(taken) == 2 and len(made) == 1
        if not fits or taken[1] != (2 * made[0],) or len(taken[0]) != 1:
            check.fail(
                "gate",
                "inputs of shapes (window,) and (2 · order,), the context and "
                "the evidence, and outputs (order,)",
                f"{taken} and {made}",
            )
        return made[0], taken[0][0]

    def call(self, inputs, training=False):
        gate = self._shares(inputs["context"], inputs["evidence"], training)
        p = ops.sum(gate * inputs["experts"], axis=-1)
        return {"gate": gate, "log_p": ops.log(ops.maximum(p, 1e-30))}

    def _shares(self, context, evidence, training=False):
        """What the mixture gives to each order, (batch, order), float32."""
        logits = self.gate([context, evidence], training=training)
        return ops.softmax(ops.cast(logits, "float32"))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return self.add_losses(weighted_mean(-y_pred["log_p"], sample_weight))

    def takes(self):
        return {
            "experts": spec_of((self.order,)),
            "evidence": spec_of((2 * self.order,)),
            "context": spec_of((self.window,), "int32"),
        }

    def check_data(self, x, y=None, name="x"):
        refuse_target(y, "x['experts'] has it")
        parts = ("experts", "evidence", "context")
        if not isinstance(x, dict) or set(x) != set(parts):
            received = ", ".join(x) if isinstance(x, dict) else type(x).__name__
            check.fail(name, f"a dict of arrays {', '.join(parts)}", received)
        experts, evidence, context = (f"{name}[{part!r}]" for part in parts)
        x = {
            "experts": check.check_array(
                x["experts"],
                experts,
                event_shape=(self.order,),
                low=0.0,
                high=1.0,
            ),
            "evidence": check.check_array(
                x["evidence"], evidence, event_shape=(2 * self.order,)
            ),
            "context": check_ids(
                x["context"], self.vocabulary_size, context, empty=True
            ),
        }
        if x["context"].shape[1] != self.window:
            shape = x["context"].shape
            check.fail(context, f"shape (n, {self.window})", f"shape {shape}")
        if len({len(value) for value in x.values()}) > 1:
            check.fail(name, "as many rows in each array", "other numbers")
        return x, None

    def example_losses(self, x):
        """−log p of each position in nats: ``(n,)``."""
        x, _ = self.check_data(x)
        return in_batches(lambda rows: -self(rows)["log_p"], x, batch_size=8192)

    def sample(self, ngram, length=200, *, temperature=1.0, prompt=(), seed=0):
        """Draw a text: the gate at each step, then one id of the mixture.

        Args:
            ngram: The n-gram whose orders are mixed.
            length: Ids to draw.
            temperature: Log-probabilities are divided by it; 0 takes the
                likeliest.
            prompt: Ids that the text begins with.
            seed: Integer seed.

        Returns:
            List of ids, the prompt first, without reserved ids.
        """
        length = check.check_int(length, "length")
        temperature = check.check_number(temperature, "temperature", 0.0)
        rng = np.random.default_rng(check.check_seed(seed))
        ids = [int(i) for i in prompt]
        for _ in range(length):
            p = self.distribution(ngram, ids)
            with np.errstate(divide="ignore"):
                logits = np.log(p)[None]
            ids.append(int(draw_token(logits, temperature, rng)[0]))
        return ids

    def distribution(self, ngram, context):
        """Give p of every id after one context: ``(vocabulary_size,)``."""
        recent = [*context][-max(self.order, self.window) :]
        # the last id is a stand-in: evidence and context do not depend on it
        inputs = mixture_inputs(
            ngram, np.array([*recent, 0], "int64"), self.window
        )
        gate = self._shares(inputs["context"][-1:], inputs["evidence"][-1:])
        return ops.convert_to_numpy(gate)[0] @ ngram.distributions(recent)
