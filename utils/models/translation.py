"""Image to image: with pairs by regression, without pairs by two games.

The same network repairs, enlarges, completes and redraws images. What
differs is where the target comes from: from the image itself, damaged on
purpose; from somebody who made both images; or from nowhere, and then two
critics take the place of the target.
"""

import keras
import numpy as np
from keras import ops

from utils.models._old_base import OwnLossModel
from utils.models.gans import one_once_known, pure_scores
from utils.nn import losses, networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check
from utils.support.batches import in_batches

__all__ = ["Translator", "UnpairedTranslator"]


class _ImageModel(OwnLossModel):
    """Shape, hyperparameters and checks that both translators share."""

    def __init__(
        self,
        input_shape,
        *,
        widths=(32, 32),
        stride=2,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.event_shape = check.check_shape(input_shape, "input_shape")
        self.stride = check.check_int(stride, "stride")
        self.widths = check.check_widths(widths, "widths")
        if not self.widths:
            check.fail("widths", "at least one layer", "()")
        self.seed = check.check_seed(seed)
        shape = self.event_shape
        if len(shape) != 3 or any(side % self.stride for side in shape[:2]):
            check.fail(
                "input_shape",
                f"(height, width, channels), sides divisible by {self.stride}",
                f"{shape}",
            )

    def _network(self, out_channels, name, seed_offset=0):
        network = networks.image_to_image(
            self.event_shape[2],
            out_channels,
            self.widths,
            stride=self.stride,
            seed=None if self.seed is None else self.seed + seed_offset,
            dtype=self.dtype_policy,
        )
        network.name = name
        return network

    def _translate(self, network, x):
        x = check.check_array(x, "x", ndim=4)
        sides = [side % self.stride for side in x.shape[1:3]]
        if x.shape[3] != self.event_shape[2] or any(sides):
            check.fail(
                "x",
                f"shape (n, h, w, {self.event_shape[2]}), h and w divisible "
                f"by {self.stride}",
                f"shape {x.shape}",
            )
        size = max(1, 2**20 // int(np.prod(x.shape[1:])))  # memory, not result
        return np.clip(in_batches(network, x, batch_size=size), 0.0, 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "widths": list(self.widths),
            "stride": self.stride,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class Translator(_ImageModel):
    """Image in, another image out, learned from pairs by regression.

    The network adds a correction to its input (:func:`utils.networks.
    image_to_image`); untrained, it copies. It is made of convolutions and
    therefore works on images of any size, whatever it was trained on. The
    squared error asks for the *mean* of all targets that fit an input:
    where several do, the answer is blurred.

    Args:
        input_shape: Shape of an image in training, ``(h, w, channels)``.
        out_channels: Channels of the target; ``None`` for as many as the
            input has. Further channels of the input, such as a mask, are
            seen and not copied.
        widths: Filters of the layers but the last.
        stride: Factor by which the first layer shrinks; it divides h and w.
        seed: Integer seed of the initial weights, or ``None``.

    Loss:
        ‖y − ŷ‖², sum over the event axes, mean over the batch, plus
        ``self.losses``. The metric ``mse`` is the mean over both.

    Raises:
        ValueError: a hyperparameter out of range; from ``fit`` and
            ``evaluate``, before any step, images of wrong shape or with NaN,
            a missing target, as many targets as images not, or a loss given
            to ``compile``.

    Example:

    >>> model = Translator((8, 8, 1), seed=0)
    >>> x = np.full((2, 16, 24, 1), 0.5)
    >>> bool(np.all(model.translate(x) == x))
    True
    """

    def __init__(self, input_shape, *, out_channels=None, **kwargs):
        super().__init__(input_shape, **kwargs)
        channels = self.event_shape[2]
        self.out_channels = check.check_int(
            channels if out_channels is None else out_channels,
            "out_channels",
            maximum=channels,
        )
        self.network = self._network(self.out_channels, "network")
        self.mse_tracker = keras.metrics.Mean(name="mse")
        self.built = True

    def call(self, inputs, training=False):
        """Translated images, not clipped."""
        return self.network(inputs, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = losses.squared_error(y, y_pred)  # (batch,)
        size = float(np.prod((*self.event_shape[:2], self.out_channels)))
        self.mse_tracker.update_state(error / size, sample_weight)
        if sample_weight is not None:
            error = error * ops.cast(sample_weight, error.dtype)
        return self.add_losses(ops.mean(error))

    def _pair(self, x, y, names=("x", "y")):
        if not check.is_array(x):
            return x, y
        x = check.check_array(x, names[0], event_shape=self.event_shape)
        shape = (*self.event_shape[:2], self.out_channels)
        if y is None:
            check.fail(names[1], f"a target of shape {shape}", "none")
        y = check.check_array(y, names[1], event_shape=shape)
        if len(x) != len(y):
            check.fail(names[1], f"{len(x)} images, as in x", f"{len(y)}")
        return x, y

    def fit(self, x=None, y=None, *args, validation_data=None, **kwargs):
        """As ``keras.Model.fit``; checks both images before training."""
        self.refuse_loss()
        x, y = self._pair(x, y)
        if isinstance(validation_data, tuple):
            names = ("validation_data[0]", "validation_data[1]")
            pair = self._pair(*validation_data[:2], names)
            validation_data = (*pair, *validation_data[2:])
        return super().fit(
            x, y, *args, validation_data=validation_data, **kwargs
        )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.evaluate``, on pairs."""
        self.refuse_loss()
        return super().evaluate(*self._pair(x, y), *args, **kwargs)

    def translate(self, x):
        """Translated images, clipped to [0, 1].

        Args:
            x: Array ``(n, h, w, channels)``, sides divisible by the stride.

        Returns:
            Float32 array ``(n, h, w, out_channels)``.
        """
        return self._translate(self.network, x)

    def get_config(self):
        return {**super().get_config(), "out_channels": self.out_channels}


@keras.saving.register_keras_serializable(package=PACKAGE)
class UnpairedTranslator(_ImageModel):
    """Two collections, no pairs: CycleGAN (Zhu et al. 2017).

    G turns images x into images like y, F turns y into images like x. A
    critic for each collection tells real from translated, and what has been
    translated there and back has to be what it was. With the least-squares
    game and s = D_Y(y), s̃ = D_Y(G(x)):

    - D_Y minimises the mean of ½ (s − 1)² + ½ s̃², D_X likewise;
    - G and F minimise ½ (D_Y(G(x)) − 1)² + ½ (D_X(F(y)) − 1)²
      + λ (mean|F(G(x)) − x| + mean|G(F(y)) − y|), means over pixels.

    All in one backward pass, as in :mod:`utils.gans`: the critics see the
    translations cut off from G and F, G and F are judged by the critics with
    their weights cut.

    Args:
        input_shape: Shape of an image of either collection.
        widths: Filters of the layers but the last of G and F.
        stride: Factor by which their first layer shrinks.
        critic_widths: Filters of the critics' stages, each of which halves
            the image.
        cycle: Weight λ ≥ 0 of the way there and back.
        seed: Integer seed of initial weights and of the order in which
            ``fit`` mixes the collections, or ``None``.

    Metrics:
        ``critic_loss`` and ``generator_loss``, sums of both directions, and
        ``cycle_error``, the mean absolute error there and back.

    Raises:
        ValueError: a hyperparameter out of range; from ``fit``, before any
            step, images of wrong shape, with NaN or outside [0, 1], a
            missing collection, or a loss given to ``compile``.
    """

    METRICS = ("critic_loss", "generator_loss", "cycle_error")

    def __init__(
        self, input_shape, *, critic_widths=(32, 64), cycle=10.0, **kwargs
    ):
        super().__init__(input_shape, **kwargs)
        self.critic_widths = check.check_widths(critic_widths, "critic_widths")
        self.cycle = check.check_number(cycle, "cycle", 0.0)
        channels = self.event_shape[2]
        self.to_y = self._network(channels, "to_y")
        self.to_x = self._network(channels, "to_x", seed_offset=100)
        self.critic_y = self._critic("critic_y", 0)
        self.critic_x = self._critic("critic_x", 100)
        for name in self.METRICS:
            setattr(self, f"{name}_tracker", keras.metrics.Mean(name=name))
        self.built = True

    def _critic(self, name, seed_offset):
        critic = networks.critic(
            self.event_shape,
            self.critic_widths,
            network="conv",
            seed=None if self.seed is None else self.seed + seed_offset,
            dtype=self.dtype_policy,
        )
        critic.name = name
        return critic

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

    def _collections(self, x, y):
        """Both collections, checked, mixed apart and of equal length."""
        rng = np.random.default_rng(self.seed)
        checked = {}
        for name, images in (("x", x), ("y", y)):
            if images is None:
                check.fail(name, "a collection of images", "none")
            checked[name] = check.check_array(
                images, name, event_shape=self.event_shape, low=0.0, high=1.0
            )
        length = max(map(len, checked.values()))
        return {
            name: images[rng.permutation(np.resize(range(len(images)), length))]
            for name, images in checked.items()
        }

    def fit(self, x=None, y=None, **kwargs):
        """As ``keras.Model.fit`` on two collections of any lengths.

        Which x meets which y in a batch is left to chance, so that pairs
        that happen to exist cannot be used. The shorter collection is
        repeated.
        """
        self.refuse_loss()
        return super().fit(self._collections(x, y), **kwargs)

    def translate(self, x):
        """G(x), clipped to [0, 1]: float32 array of the shape of x."""
        return self._translate(self.to_y, x)

    def translate_back(self, y):
        """F(y), clipped to [0, 1]: float32 array of the shape of y."""
        return self._translate(self.to_x, y)

    def get_config(self):
        own = {"critic_widths": list(self.critic_widths), "cycle": self.cycle}
        return {**super().get_config(), **own}
