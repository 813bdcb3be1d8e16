"""Image to image: with pairs by regression, without pairs by two games.

The same network repairs, enlarges, completes and redraws images. What
differs is where the target comes from: from the image itself, damaged on
purpose; from somebody who made both images; or from nowhere, and then two
critics take the place of the target.
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
from utils.models.gans import check_scores, one_once_known, pure_scores
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["Translator", "UnpairedTranslator"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class Translator(CourseModel):
    """Image in, another image out, learned from pairs by regression.

    The squared error asks for the *mean* of all targets that fit an input:
    where several do, the answer is blurred.

    Example:

    A network of your own:

    >>> network = keras.Sequential(
    ...     [
    ...         keras.Input((8, 8, 1)),
    ...         keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
    ...         keras.layers.Conv2D(3, 1),
    ...     ]
    ... )
    >>> model = Translator(network)
    >>> model.translate(np.zeros((2, 8, 8, 1))).shape
    (2, 8, 8, 3)

    The course's own adds a correction to its input
    (:func:`utils.nn.networks.image_to_image`): untrained it copies. It works
    on images of any size, whatever it was trained on.

    >>> model = Translator.conv((8, 8, 1), seed=0)
    >>> x = np.full((2, 16, 24, 1), 0.5)
    >>> bool(np.all(model.translate(x) == x))
    True

    Args:
        network: Keras model from images ``(batch, h, w, channels)`` to
            images.

    Loss:
        ‖y − ŷ‖², sum over the event axes, mean over the batch, plus
        ``self.losses``. The metric ``mse`` is the mean over both.

    Raises:
        ValueError: a network not from images to images; from ``fit`` and
            ``evaluate``, before any step, images of wrong shape or with NaN,
            a missing target, as many targets as images not, or a loss given
            to ``compile``.
    """

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.event_shape, made = shapes_of(network, "network")
        for shape in (self.event_shape, made):
            if not isinstance(shape, tuple) or len(shape) != 3:
                expected = "a model from images (h, w, channels) to images"
                check.fail("network", expected, f"{shape}")
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    @builds("network")
    def conv(
        input_shape,
        *,
        out_channels=None,
        widths=(32, 32),
        stride=2,
        seed=None,
        dtype=None,
    ):
        """Convolutions that correct their input.

        Args:
            input_shape: Shape of an image in training, ``(h, w, channels)``.
            out_channels: Channels of the target; ``None`` for as many as the
                input has. Further channels of the input, such as a mask, are
                seen and not copied.
            widths: Filters of the layers but the last.
            stride: Factor by which the first layer shrinks; it divides h
                and w.
            seed: Integer seed of the initial weights, or ``None``.
            dtype: Dtype policy of network and model.
        """
        return _correcting(
            "network", input_shape, out_channels, widths, stride, seed, dtype
        )

    def call(self, inputs, training=False):
        """Translated images, not clipped."""
        return self.network(inputs, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = losses.squared_error(y, y_pred)  # (batch,)
        size = ops.cast(ops.size(y[0]), error.dtype)
        self.mse_tracker.update_state(error / size, sample_weight)
        return self.add_losses(weighted_mean(error, sample_weight))

    def check_data(self, x, y=None, name="x"):
        x, shape = _seen(self.network, x, name)
        if y is None:
            check.fail("y", f"a target of shape {shape}", "none")
        y = check.check_array(y, "y", event_shape=shape)
        if len(x) != len(y):
            check.fail("y", f"{len(x)} images, as in x", f"{len(y)}")
        return x, y

    def check_input(self, x, name="x"):
        return _seen(self.network, x, name)[0]

    def translate(self, x):
        """Translated images, clipped to [0, 1].

        Args:
            x: Images ``(n, h, w, channels)`` of any size that the network
                takes.

        Returns:
            Float32 array ``(n, h, w, out_channels)``.
        """
        return _translated(self.network, x, "x")


@keras.saving.register_keras_serializable(package=PACKAGE)
class UnpairedTranslator(CourseModel):
    """Two collections, no pairs: CycleGAN (Zhu et al. 2017).

    G turns images x into images like y, F turns y into images like x. A
    critic for each collection tells real from translated, and what has been
    translated there and back has to be what it was. With the least-squares
    game and s = D_Y(y), s̃ = D_Y(G(x)):

    - D_Y minimises the mean of ½ (s − 1)² + ½ s̃², D_X likewise;
    - G and F minimise ½ (D_Y(G(x)) − 1)² + ½ (D_X(F(y)) − 1)²
      + λ (mean|F(G(x)) − x| + mean|G(F(y)) − y|), means over pixels.

    All in one backward pass, as in :mod:`utils.models.gans`: the critics see
    the translations cut off from G and F, G and F are judged by the critics
    with their weights cut.

    ``fit(x, y)`` takes two collections of any lengths. Which x meets which y
    in a batch is left to chance, so that pairs that happen to exist cannot
    be used; the shorter collection is repeated.

    Example:

    Networks of your own, here without hidden layers:

    >>> def network(*layers):
    ...     return keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> def critic():
    ...     layers = keras.layers
    ...     return network(
    ...         layers.Flatten(), layers.Dense(1), layers.Reshape(())
    ...     )
    >>> def redraw():
    ...     return network(keras.layers.Conv2D(1, 3, padding="same"))
    >>> model = UnpairedTranslator(redraw(), redraw(), critic(), critic())
    >>> model.translate(np.zeros((2, 8, 8, 1))).shape
    (2, 8, 8, 1)

    The course's own, in one call:

    >>> model = UnpairedTranslator.conv((8, 8, 1), seed=0)
    >>> model.translate_back(np.zeros((2, 8, 8, 1))).shape
    (2, 8, 8, 1)

    Args:
        to_y: Keras model G from images x to images like y.
        to_x: Keras model F from images y to images like x.
        critic_y: Keras model from images y to scores ``(batch,)``, linear
            at its end.
        critic_x: Keras model from images x to scores, likewise.
        cycle: Weight λ ≥ 0 of the way there and back.
        seed: Integer seed of the order in which the collections are mixed,
            or ``None``.

    Call arguments:
        inputs: Dict of as many images ``"x"`` and ``"y"``.

    Metrics:
        ``critic_loss`` and ``generator_loss``, sums of both directions, and
        ``cycle_error``, the mean absolute error there and back.

    Raises:
        ValueError: a hyperparameter out of range; networks whose shapes do
            not meet; a critic that ends in a sigmoid or softmax; from
            ``fit`` and ``evaluate``, before any step, images of wrong shape,
            with NaN or outside [0, 1], a missing collection, sample weights,
            or a loss given to ``compile``.
    """

    METRICS = ("critic_loss", "generator_loss", "cycle_error")
    weighted = False

    def __init__(
        self,
        to_y,
        to_x,
        critic_y,
        critic_x,
        *,
        cycle=10.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.to_y, self.to_x = to_y, to_x
        self.critic_y, self.critic_x = critic_y, critic_x
        self.cycle = check.check_number(cycle, "cycle", 0.0)
        self.seed = check.check_seed(seed)
        self._check_networks()
        for name in self.METRICS:
            setattr(self, f"{name}_tracker", keras.metrics.Mean(name=name))
        self.built = True

    @builds("to_y", "to_x", "critic_y", "critic_x")
    def conv(
        input_shape,
        *,
        widths=(32, 32),
        stride=2,
        critic_widths=(32, 64),
        seed=None,
        dtype=None,
    ):
        """Convolutions that correct their input, and convolutional critics.

        Args:
            input_shape: Shape of an image of either collection.
            widths: Filters of the layers but the last of G and F.
            stride: Factor by which their first layer shrinks.
            critic_widths: Filters of the critics' stages, each of which
                halves the image.
            seed: Integer seed of initial weights and of the order of the
                collections, or ``None``.
            dtype: Dtype policy of networks and model.
            **objective: As for the class.
        """
        critic_widths = check.check_widths(critic_widths, "critic_widths")
        translators, critics = [], []
        for side, offset in (("y", 0), ("x", 100)):
            own = None if seed is None else seed + offset
            translators.append(
                _correcting(
                    f"to_{side}", input_shape, None, widths, stride, own, dtype
                )
            )
            critic = networks.critic(
                tuple(input_shape),
                critic_widths,
                network="conv",
                seed=own,
                dtype=dtype,
            )
            critic.name = f"critic_{side}"
            critics.append(critic)
        return *translators, *critics

    def _check_networks(self):
        shapes = {}
        for side in "xy":
            name = f"critic_{side}"
            critic = getattr(self, name)
            check_scores(critic, name)
            shapes[side], _ = shapes_of(critic, name)
        self.event_shape, self.target_shape = shapes["x"], shapes["y"]
        for name, *ends in (("to_y", "x", "y"), ("to_x", "y", "x")):
            found = shapes_of(getattr(self, name), name)
            wanted = tuple(shapes[side] for side in ends)
            if not all(map(check.agree, found, wanted)):
                expected = "a model from {} to {}, as the critics take"
                check.fail(
                    name, expected.format(*wanted), "{} to {}".format(*found)
                )

    def call(self, inputs, training=False):
        """Translations, there and back, and all scores."""
        x, y = inputs["x"], inputs["y"]
        fake_y = self.to_y(x, training=training)
        fake_x = self.to_x(y, training=training)
        outputs = {
            "fake_y": fake_y,
            "fake_x": fake_x,
            "cycled_x": self.to_x(fake_y, training=training),
            "cycled_y": self.to_y(fake_x, training=training),
        }
        for side, critic, real, fake in (
            ("y", self.critic_y, y, fake_y),
            ("x", self.critic_x, x, fake_x),
        ):
            fixed = ops.stop_gradient(fake)  # the critic must not move G or F
            outputs[f"real_{side}_scores"] = critic(real, training=training)
            outputs[f"fake_{side}_scores"] = critic(fixed, training=training)
            outputs[f"generator_{side}_scores"] = pure_scores(
                critic, fake, training, fixed_weights=True
            )
        return outputs

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        critic_loss = generator_loss = 0.0
        for side in "yx":
            real, fake, fooled = (
                ops.cast(y_pred[f"{kind}_{side}_scores"], "float32")
                for kind in ("real", "fake", "generator")
            )
            critic_loss += 0.5 * (ops.square(real - 1.0) + ops.square(fake))
            generator_loss += 0.5 * ops.square(fooled - 1.0)
        cycle_error = 0.0
        for side in "xy":
            again = ops.cast(y_pred[f"cycled_{side}"], "float32")
            start = ops.cast(x[side], "float32")
            cycle_error += ops.mean(ops.abs(again - start))
        for name, value in (
            ("critic_loss", critic_loss),
            ("generator_loss", generator_loss),
            ("cycle_error", 0.5 * cycle_error),
        ):
            getattr(self, f"{name}_tracker").update_state(value)
        loss = ops.mean(critic_loss) + ops.mean(generator_loss)
        loss = self.add_losses(loss + self.cycle * cycle_error)
        return loss * one_once_known(loss)

    def takes(self):
        shapes = {"x": self.event_shape, "y": self.target_shape}
        return {side: spec_of(shape) for side, shape in shapes.items()}

    def check_data(self, x, y=None, name="x"):
        pair = self._collections(x, y, name)
        rng = np.random.default_rng(self.seed)
        length = max(map(len, pair.values()))
        return {
            side: rows[rng.permutation(np.resize(range(len(rows)), length))]
            for side, rows in pair.items()
        }, None

    def check_input(self, x, name="x"):
        if not isinstance(x, dict):
            check.fail(name, "a dict of images x and y", type(x).__name__)
        pair = self._collections(x, None, name)
        if len(pair["x"]) != len(pair["y"]):
            expected = f"{len(pair['x'])} images, as in x"
            check.fail("y", expected, f"{len(pair['y'])}")
        return pair

    def _collections(self, x, y, name):
        """Both collections, given apart or as a dict."""
        if isinstance(x, dict):
            if y is not None or sorted(x) != ["x", "y"]:
                expected = "a dict of x and y, and nothing beside it"
                check.fail(name, expected, f"{sorted(x)}")
            x, y = x["x"], x["y"]
        sides = (("x", name, x, self.to_y), ("y", "y", y, self.to_x))
        checked = {}
        for side, name, rows, network in sides:
            if rows is None:
                check.fail(name, "a collection of images", "none")
            rows, _ = _seen(network, rows, name, low=0.0, high=1.0)
            taken = self.event_shape if side == "x" else self.target_shape
            _check_shape(rows, name, taken)
            checked[side] = rows
        return checked

    def translate(self, x):
        """G(x), clipped to [0, 1]: float32 array of the shape of x."""
        return _translated(self.to_y, x, "x")

    def translate_back(self, y):
        """F(y), clipped to [0, 1]: float32 array of the shape of y."""
        return _translated(self.to_x, y, "y")


def _correcting(name, input_shape, out_channels, widths, stride, seed, dtype):
    """The course's network from images to images, its arguments checked."""
    shape = check.check_shape(input_shape, "input_shape")
    stride = check.check_int(stride, "stride")
    widths = check.check_widths(widths, "widths")
    if not widths:
        check.fail("widths", "at least one layer", "()")
    if len(shape) != 3 or any(side % stride for side in shape[:2]):
        expected = f"(height, width, channels), sides divisible by {stride}"
        check.fail("input_shape", expected, f"{shape}")
    channels = shape[2]
    if out_channels is None:
        out_channels = channels
    network = networks.image_to_image(
        channels,
        check.check_int(out_channels, "out_channels", maximum=channels),
        widths,
        stride=stride,
        seed=check.check_seed(seed),
        dtype=dtype,
    )
    network.name = name
    return network


def _check_shape(x, name, shape):
    """Refuse images of another shape than ``(h, w, channels)``."""
    if not check.agree(x.shape[1:], shape):
        sizes = ", ".join(
            "any" if size is None else str(size) for size in shape
        )
        check.fail(name, f"shape (n, {sizes})", f"shape {x.shape}")


def _seen(network, x, name, **bounds):
    """Images that a network takes, and the shape it makes of one."""
    x = check.check_array(x, name, **bounds)
    _check_shape(x, name, shapes_of(network, "network")[0])
    try:
        made = network.compute_output_shape((None, *x.shape[1:]))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        expected = "sides that the network can shrink and restore"
        check.fail(name, expected, f"shape {x.shape}: {reason}")
    return x, tuple(made[1:])


def _translated(network, x, name):
    x, _ = _seen(network, x, name)
    size = max(1, 2**20 // int(np.prod(x.shape[1:])))  # memory, not result
    return np.clip(in_batches(network, x, batch_size=size), 0.0, 1.0)
