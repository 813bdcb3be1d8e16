"""Builders of encoders and decoders: shapes, sizes, seeds."""

import keras
import numpy as np
import pytest
from keras import ops

from utils.nn import networks


def dense_size(widths):
    """Weights and biases of a chain of dense layers."""
    return sum(a * b + b for a, b in zip(widths, widths[1:], strict=False))


@pytest.mark.parametrize(
    ("shape", "latent_dim", "widths"),
    [((64,), 8, ()), ((64,), 8, (32, 16)), ((4, 4, 3), 2, (5,))],
)
def test_dense_pair_shapes_and_sizes_follow_the_widths(
    shape, latent_dim, widths
):
    encoder = networks.dense_encoder(shape, latent_dim, widths)
    decoder = networks.dense_decoder(latent_dim, shape, widths[::-1])
    chain = [int(np.prod(shape)), *widths, latent_dim]
    assert encoder.input_shape == (None, *shape)
    assert encoder.output_shape == (None, latent_dim)
    assert decoder.output_shape == (None, *shape)
    assert encoder.count_params() == dense_size(chain)
    assert decoder.count_params() == dense_size(chain[::-1])


def test_dense_encoder_forward_pass_equals_numpy(rng):
    encoder = networks.dense_encoder(
        (6,), 2, (4,), activation="tanh", code_activation="sigmoid", seed=0
    )
    x = rng.normal(size=(3, 6)).astype("float32")
    w1, b1, w2, b2 = encoder.get_weights()
    code = 1 / (1 + np.exp(-(np.tanh(x @ w1 + b1) @ w2 + b2)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(encoder(x)), code, rtol=1e-5
    )


def test_tied_decoder_reuses_every_kernel_and_owns_biases():
    encoder = networks.dense_encoder((4, 4), 3, (8,))
    decoder = networks.tied_decoder(encoder, (4, 4))
    kernels = {id(w) for w in encoder.weights if len(w.shape) == 2}
    own = [w for w in decoder.weights if id(w) not in kernels]
    own = [w for w in own if id(w) not in {id(v) for v in encoder.weights}]
    assert sorted(tuple(w.shape) for w in own) == [(8,), (16,)]
    assert decoder.output_shape == (None, 4, 4)


def test_tied_decoder_last_layer_linear_hidden_activated():
    encoder = networks.dense_encoder((6,), 2, (4,))
    decoder = networks.tied_decoder(encoder, (6,), activation="tanh")
    tied = [layer for layer in decoder.layers if hasattr(layer, "tied_to")]
    assert [layer.activation.__name__ for layer in tied] == ["tanh", "linear"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("widths", [(4,), (4, 8), (2, 3, 4)])
def test_conv_pair_any_depth_returns_the_image_shape(channels, widths):
    shape = (8, 16, channels)
    encoder = networks.conv_encoder(shape, 5, widths)
    decoder = networks.conv_decoder(5, shape, widths[::-1])
    assert encoder.output_shape == (None, 5)
    assert decoder.output_shape == (None, *shape)
    steps = len(widths)
    convs = [
        layer
        for layer in encoder.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convs[-1].output.shape == (
        None,
        8 // 2**steps,
        16 // 2**steps,
        widths[-1],
    )


def test_conv_decoder_constant_code_gives_no_checkerboard():
    # With equal kernels each interior pixel is covered equally often.
    decoder = networks.conv_decoder(1, (16, 16, 1), (3,))
    decoder.set_weights([np.ones_like(w) for w in decoder.get_weights()])
    image = ops.convert_to_numpy(decoder(np.ones((1, 1))))[0, :, :, 0]
    assert np.unique(image[2:-2, 2:-2]).size == 1


@pytest.mark.parametrize(
    ("builder", "arguments"),
    [
        (networks.conv_encoder, ((9, 8, 1), 4, (4,))),
        (networks.conv_encoder, ((28, 28, 1), 4, (4, 4, 4))),
        (networks.conv_encoder, ((64,), 4, (4,))),
        (networks.conv_decoder, (4, (6, 6, 1), (4, 4))),
    ],
)
def test_conv_builder_sides_not_divisible_refused(builder, arguments):
    with pytest.raises(ValueError, match="height and width divisible by"):
        builder(*arguments)


BUILDERS = {
    "dense_encoder": lambda seed: networks.dense_encoder(
        (16,), 4, (8, 8), seed=seed
    ),
    "dense_decoder": lambda seed: networks.dense_decoder(
        4, (16,), (8, 8), seed=seed
    ),
    "conv_encoder": lambda seed: networks.conv_encoder(
        (8, 8, 1), 4, (8, 8), seed=seed
    ),
    "conv_decoder": lambda seed: networks.conv_decoder(
        4, (8, 8, 1), (8, 8), seed=seed
    ),
}


def kernels(model):
    return [w for w in model.get_weights() if w.ndim > 1]


@pytest.mark.parametrize("name", BUILDERS)
class TestSeeds:
    def test_builder_same_seed_same_weights(self, name):
        first, second = BUILDERS[name](7), BUILDERS[name](7)
        for a, b in zip(kernels(first), kernels(second), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_builder_other_seed_other_weights(self, name):
        first, second = BUILDERS[name](7), BUILDERS[name](8)
        for a, b in zip(kernels(first), kernels(second), strict=True):
            assert not np.array_equal(a, b)

    def test_builder_no_two_layers_start_alike(self, name):
        # one shared integer seed would repeat the same stream in each layer
        flat = [k.ravel() / k.std() for k in kernels(BUILDERS[name](0))]
        for i, a in enumerate(flat):
            for b in flat[i + 1 :]:
                size = min(a.size, b.size)
                assert not np.allclose(a[:size], b[:size], atol=1e-2)


def test_dense_encoder_relu_starts_with_he_scaling():
    wide = networks.dense_encoder((400,), 300, (500,), seed=0)
    hidden, code = kernels(wide)
    assert hidden.var() == pytest.approx(2 / 400, rel=0.03)
    assert code.var() == pytest.approx(2 / (500 + 300), rel=0.03)


@pytest.mark.parametrize("name", BUILDERS)
def test_builder_last_layer_is_linear(name):
    layers = [y for y in BUILDERS[name](0).layers if hasattr(y, "activation")]
    assert layers[-1].activation is keras.activations.linear
