"""From an encoder that saw no label to a classifier that saw a few.

Stage one minimises an unsupervised loss; what it hands over is the encoder's
weights, nothing else. Stage two starts from them, with a new head.
"""

from collections import namedtuple

import keras
import numpy as np

from utils.models.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.nn.likelihoods import SquaredError
from utils.support import validation as check
from utils.support.batches import in_batches
from utils.training import recipes
from utils.training.classifiers import (
    Standardize,
    check_labelled,
    check_rows,
    compile_classifier,
    fit_updates,
    input_dtype,
    mean_cross_entropy,
)

__all__ = ["fine_tune", "greedy_stack", "transfer"]

Stack = namedtuple("Stack", ["model", "errors"])
Stages = namedtuple("Stages", ["start", "frozen", "tuned"])


# ------------------------------------------------------- layer by layer


def greedy_stack(
    x,
    widths,
    *,
    epochs=10,
    batch_size=64,
    learning_rate=3e-3,
    masking=0.0,
    seed=0,
):
    """Pretrain a deep sigmoid autoencoder one layer at a time.

    The historic recipe (Hinton and Salakhutdinov 2006 with Boltzmann
    machines; Bengio et al. 2007 with autoencoders): fit a shallow
    autoencoder to the rows, then one to its codes, and so on; unroll the
    layers into one deep autoencoder. No later stage changes an earlier one.

    Args:
        x: Unlabelled rows ``(n, …)`` in [0, 1].
        widths: Widths of the layers, the code last; at least one.
        epochs: Passes over the rows for every layer.
        batch_size: Rows a step.
        learning_rate: Of Adam.
        masking: Share in [0, 1] of inputs set to 0 while a layer is trained
            (stacked *denoising* autoencoders, Vincent et al. 2010).
        seed: Integer ≥ 0: weights, corruption and order of the rows.

    Returns:
        ``Stack(model, errors)``: an uncompiled ``Autoencoder`` of sigmoid
        layers that starts where the stages ended, and the mean squared error
        of each stage's last epoch, per entry of *its* input.

    Raises:
        ValueError: rows out of [0, 1] or with NaN, no width, an argument out
            of range.
    """
    x = check.check_array(x, "x", low=0.0, high=1.0)
    widths = check.check_widths(widths, "widths")
    if not widths:
        check.fail("widths", "at least one width", "()")
    keras.utils.set_random_seed(check.check_int(seed, "seed", minimum=0))
    stages, errors, codes = [], [], x
    for index, width in enumerate(widths):
        stage = DenoisingAutoencoder.dense(
            codes.shape[1:],
            width,
            widths=(),
            code_activation="sigmoid",
            corruption="masking",
            amount=masking,
            seed=seed + index,
            likelihood=SquaredError("sigmoid"),
        )
        recipes.compile(stage, learning_rate)
        history = stage.fit(
            codes, batch_size=batch_size, epochs=epochs, verbose=0
        )
        errors.append(history.history["mse"][-1])
        codes = stage.encode(codes)
        stages.append(stage)
    return Stack(_unroll(stages, x.shape[1:], widths, seed), tuple(errors))


def _unroll(stages, input_shape, widths, seed):
    """One deep autoencoder with the weights of the shallow ones."""
    model = Autoencoder.dense(
        input_shape,
        widths[-1],
        widths=widths[:-1],
        activation="sigmoid",
        code_activation="sigmoid",
        overcomplete=True,
        seed=seed,
        likelihood=SquaredError("sigmoid"),
    )
    model.encoder.set_weights(
        [w for stage in stages for w in stage.encoder.get_weights()]
    )
    model.decoder.set_weights(
        [w for stage in stages[::-1] for w in stage.decoder.get_weights()]
    )
    return model


# ------------------------------------------------------------- transfer


def transfer(encoder, head, *, x=None, seed=None):
    """A classifier on a copy of a pretrained encoder, with a new head.

    θ starts at θ*, the encoder's weights; the head ω starts afresh. The
    given encoder is not touched by whatever is done with the classifier. If
    it is frozen as a whole its copy is not; single layers of it that are
    frozen stay so.

    Args:
        encoder: Built Keras model, examples → codes ``(batch, k)``. A
            pretrained model is refused: pass its ``.encoder``, without
            decoder, projector or old head.
        head: Number of classes ≥ 2 for one linear layer of logits, or a
            Keras layer or model codes → logits.
        x: Unlabelled rows. A layer in front of the head takes away the mean
            of their codes and divides by one number, their root mean square,
            so that a rate means the same for every encoder; ``None`` leaves
            codes alone.
        seed: Integer ≥ 0 of the linear head's initial weights, or ``None``.

    Returns:
        Functional model, examples → logits ``(batch, classes)``, uncompiled,
        with layers named ``"encoder"`` and ``"head"``.

    Raises:
        ValueError: something else than an encoder; a head for codes of
            another width; rows of another shape.
    """
    _check_encoder(encoder)
    width = encoder.output_shape[-1]
    copied = keras.models.clone_model(encoder)
    copied.set_weights(encoder.get_weights())
    copied.name = "encoder"
    if not encoder.trainable:
        copied.trainable = True
    inputs = keras.Input(encoder.input_shape[1:], dtype=input_dtype(encoder))
    codes = copied(inputs)
    if x is not None:
        x = check_rows(encoder, x)
        standardize = Standardize(name="standardize")
        standardize.adapt(in_batches(encoder, x))
        codes = standardize(codes)
    head = _make_head(head, width, check.check_seed(seed))
    return keras.Model(inputs, head(codes), name="classifier")


def _check_encoder(encoder):
    inside = getattr(encoder, "encoder", None)
    if inside is not None:
        check.fail(
            "encoder",
            "the encoder alone, model.encoder: heads, decoders and "
            "projectors of the first stage are not carried over",
            f"a whole {type(encoder).__name__}",
        )
    if not isinstance(encoder, keras.Model) or not encoder.built:
        check.fail("encoder", "a built keras.Model", repr(encoder))
    shape = getattr(encoder, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2:
        check.fail("encoder", "codes (batch, k) as its output", f"{shape}")


def _make_head(head, width, seed):
    if not isinstance(head, keras.layers.Layer):
        return keras.layers.Dense(
            check.check_int(head, "head", 2),
            # small: untrained, it gives every class about the same chance
            kernel_initializer=keras.initializers.RandomNormal(
                stddev=0.01, seed=seed
            ),
            name="head",
        )
    if head.built:
        shape = head.input_shape if isinstance(head, keras.Model) else None
        kernel = getattr(head, "kernel", None)
        takes = shape[-1] if shape else getattr(kernel, "shape", (width,))[0]
        if takes != width:
            check.fail("head", f"inputs of width {width}, the code's", takes)
    head.name = "head"
    return head


def fine_tune(
    classifier,
    x,
    y,
    *,
    frozen_updates=100,
    tuned_updates=100,
    rate=1e-2,
    tuned_rate=1e-3,
    batch_size=32,
    seed=0,
):
    """Train the head on a frozen encoder, then both at a lower rate.

    A new head's first gradients are large and meaningless; through an
    encoder that is not frozen they spoil what it has learned. Keras reads
    ``trainable`` when it compiles, so each stage compiles again. What you
    froze by hand, layers or single weights, stays frozen in both.

    Args:
        classifier: From :func:`transfer`.
        x: Labelled rows ``(n, …)``; a few are enough.
        y: Integer labels ``(n,)``.
        frozen_updates: Steps of the first stage, ≥ 0.
        tuned_updates: Steps of the second stage, ≥ 0.
        rate: Adam's learning rate for the head alone.
        tuned_rate: Adam's learning rate for everything that is not frozen,
            at most ``rate``.
        batch_size: Rows a step, drawn in passes over the shuffled rows.
        seed: Integer ≥ 0 of the order of the rows.

    Returns:
        ``Stages(start, frozen, tuned)``: cross-entropy of the labelled rows
        in nats per example before, between and after the stages: a new head
        on standardised codes starts near log(classes). The classifier is
        trained in place.

    Raises:
        ValueError: rows of another shape or with NaN, labels that the head
            has no output for, a lower rate that is higher, no updates.
    """
    x, y = check_labelled(classifier, x, y)
    frozen_updates = check.check_int(frozen_updates, "frozen_updates", 0)
    tuned_updates = check.check_int(tuned_updates, "tuned_updates", 0)
    if frozen_updates + tuned_updates == 0:
        check.fail("frozen_updates + tuned_updates", "at least 1", "0")
    rate = check.check_number(rate, "rate", 0.0)
    tuned_rate = check.check_number(tuned_rate, "tuned_rate", 0.0, rate)
    encoder = classifier.get_layer("encoder")
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    losses = [mean_cross_entropy(classifier, x, y)]
    as_found = _trainable_flags(encoder)
    try:
        encoder.trainable = False
        compile_classifier(classifier, rate)
        fit_updates(classifier, x, y, frozen_updates, batch_size, rng)
    finally:
        for part, trainable in as_found:
            part.trainable = trainable
    losses.append(mean_cross_entropy(classifier, x, y))
    compile_classifier(classifier, tuned_rate)
    fit_updates(classifier, x, y, tuned_updates, batch_size, rng)
    return Stages(*losses, mean_cross_entropy(classifier, x, y))


def _trainable_flags(encoder):
    """Layers, then weights, each with its ``trainable`` as it stands.

    Outer layers come first: setting theirs sets that of all inside.
    """
    parts = [*encoder._flatten_layers(), *encoder.weights]
    return [(part, part.trainable) for part in parts]
