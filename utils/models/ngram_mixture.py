"""A network that decides, character by character, which n-gram to believe.

Counting knows much and weighs it by one fixed rule; a network can learn the
weighing. After Neubig and Dyer (2016), "Generalizing and hybridizing
count-based and neural language models".
"""

import keras
import numpy as np
from keras import ops

from utils.models._old_base import OwnLossModel
from utils.nn.layers import PACKAGE, Embedding
from utils.support import validation as check
from utils.support.batches import in_batches
from utils.support.token_ids import PAD, draw_token

__all__ = ["NGramMixture", "mixture_inputs"]


def mixture_inputs(ngram, ids, window=8):
    """What a :class:`NGramMixture` reads about each id of a stream.

    Args:
        ngram: A fitted :class:`utils.ngrams.NGram`. For training it must not
            have counted the same stream: its counts would know the answer.
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
class NGramMixture(OwnLossModel):
    """A neural mixture of the predictions of all n-gram orders.

        p(w | h) = Σ_k g_k(h) p_k(w | h),   g = softmax(network(h)),

    with p_k the smoothed n-gram of order k. The network reads the last
    characters and how often each context was seen. Whatever it answers, the
    mixture is a distribution, for it is a weighted mean of distributions.

    Args:
        order: Highest order of the n-gram, that is, number of experts.
        vocabulary_size: Number of ids.
        window: Ids before the position that the network sees.
        embedding_dim: Width of their vectors.
        widths: Hidden layers of the network.
        seed: Integer seed of the weights, or ``None``.

    Call arguments:
        inputs: Dict as from :func:`mixture_inputs`.

    Loss:
        −log p(w | h) in nats, mean over the batch.

    Output:
        Dict with ``"gate"`` (batch, order), rows summing to 1, and
        ``"log_p"`` (batch,).

    Raises:
        ValueError: an argument out of range; in ``fit``, ``score``: arrays of
            other shapes, probabilities outside [0, 1], a target.
    """

    def __init__(
        self,
        order,
        vocabulary_size,
        window=8,
        embedding_dim=12,
        widths=(64, 64),
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.order = check.check_int(order, "order")
        self.vocabulary_size = check.check_int(
            vocabulary_size, "vocabulary_size", minimum=2
        )
        self.window = check.check_int(window, "window")
        self.embedding_dim = check.check_int(embedding_dim, "embedding_dim")
        self.widths = check.check_widths(widths, "widths")
        self.seed = check.check_seed(seed)
        self.network = self._network()
        self.built = True

    def _network(self):
        layers = keras.layers
        context = keras.Input((self.window,), dtype="int32")
        evidence = keras.Input((2 * self.order,))
        vectors = Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(
                -0.1, 0.1, seed=self._number(0)
            ),
        )(context)
        hidden = layers.Concatenate()(
            [layers.Flatten()(vectors), 0.2 * evidence]
        )
        for index, width in enumerate(self.widths):
            hidden = layers.Dense(
                width,
                activation="relu",
                kernel_initializer=self._glorot(index + 1),
            )(hidden)
        logits = layers.Dense(self.order, kernel_initializer=self._glorot(99))(
            hidden
        )
        return keras.Model([context, evidence], layers.Softmax()(logits))

    def _number(self, index):
        return None if self.seed is None else 1000 * self.seed + index

    def _glorot(self, index):
        return keras.initializers.GlorotUniform(seed=self._number(index))

    def call(self, inputs, training=False):
        gate = self.network([inputs["context"], inputs["evidence"]])
        p = ops.sum(gate * inputs["experts"], axis=-1)
        return {"gate": gate, "log_p": ops.log(ops.maximum(p, 1e-30))}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return self.add_losses(-ops.mean(y_pred["log_p"]))

    def _check(self, x):
        if not isinstance(x, dict):
            return x
        widths = {
            "experts": self.order,
            "evidence": 2 * self.order,
            "context": self.window,
        }
        if set(x) != set(widths):
            check.fail("x", f"arrays {', '.join(widths)}", ", ".join(x))
        for name, width in widths.items():
            check.check_array(x[name], f"x[{name!r}]", event_shape=(width,))
        check.check_array(x["experts"], "x['experts']", low=0.0, high=1.0)
        if len({len(value) for value in x.values()}) > 1:
            check.fail("x", "as many rows in each array", "other numbers")
        return x

    def fit(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.fit``, for the dict of inputs alone."""
        if y is not None:
            check.fail("y", "no target: x['experts'] has it", "one")
        self.refuse_loss()
        return super().fit(self._check(x), None, *args, **kwargs)

    def score(self, x):
        """−log p of each position in nats: ``(n,)``."""
        x = self._check(x)
        names = list(x)
        return in_batches(
            lambda *parts: -self(dict(zip(names, parts, strict=True)))["log_p"],
            *x.values(),
            batch_size=8192,
        )

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
        gate = self.network([inputs["context"][-1:], inputs["evidence"][-1:]])
        return ops.convert_to_numpy(gate)[0] @ ngram.distributions(recent)

    def get_config(self):
        own = {
            "order": self.order,
            "vocabulary_size": self.vocabulary_size,
            "window": self.window,
            "embedding_dim": self.embedding_dim,
            "widths": list(self.widths),
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
