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


# ------------------------------------------------------------------- pairs

PAIRS = {
    "dense": lambda **o: networks.dense_pair((4, 4, 1), 3, (8, 6), **o),
    "conv": lambda **o: networks.conv_pair((8, 8, 1), 3, (2, 4), **o),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pair_is_encoder_and_mirrored_decoder_of_the_same_seed(name):
    encoder, decoder = PAIRS[name](
        seed=7, activation="tanh", code_activation="sigmoid"
    )
    build_encoder, build_decoder = networks.BUILDERS[name]
    shape = encoder.input_shape[1:]
    widths = {"dense": (8, 6), "conv": (2, 4)}[name]
    options = {"activation": "tanh", "seed": 7}
    alone = (
        build_encoder(shape, 3, widths, code_activation="sigmoid", **options),
        build_decoder(3, shape, widths[::-1], **options),
    )
    for made, wanted in zip((encoder, decoder), alone, strict=True):
        assert made.output_shape == wanted.output_shape
        for a, b in zip(made.get_weights(), wanted.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert encoder.get_layer("code").activation is keras.activations.sigmoid
    assert decoder.output_shape == (None, *shape)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: networks.dense_pair((0,), 3), "input_shape"),
        (lambda: networks.dense_pair((4,), 0), "latent_dim"),
        (lambda: networks.dense_pair((4,), 3, (8, -1)), "widths"),
        (lambda: networks.dense_pair((4,), 3, seed=-1), "seed"),
        (lambda: networks.conv_pair((8, 8, 1), 3, ()), "at least one stage"),
        (lambda: networks.conv_pair((9, 8, 1), 3, (2,)), "divisible by"),
        (
            lambda: networks.variational_pair("conv", (8, 8, 1), 3, ()),
            "at least one stage",
        ),
        (
            lambda: networks.variational_pair(
                "dense", (4,), 3, (), num_classes=1
            ),
            "num_classes",
        ),
        (lambda: networks.classifier("dense", (4,), 3, (), dropout=1), "drop"),
        (lambda: networks.classifier("dense", (4,), 0, ()), "expected"),
    ],
)
def test_pair_wrong_argument_is_named(build, match):
    with pytest.raises(ValueError, match=match):
        build()


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_variational_pair_is_a_pair_with_a_second_head(kind, rng):
    encoder, decoder = networks.variational_pair(
        kind, (8, 8, 1), 3, (4,), seed=2
    )
    pair = {"dense": networks.dense_pair, "conv": networks.conv_pair}[kind]
    plain, mirror = pair((8, 8, 1), 3, (4,), seed=2)
    x = rng.random((2, 8, 8, 1)).astype("float32")
    heads = {k: ops.convert_to_numpy(v) for k, v in encoder(x).items()}
    np.testing.assert_array_equal(heads["mean"], ops.convert_to_numpy(plain(x)))
    assert heads["log_var"].shape == (2, 3)
    assert not np.allclose(heads["log_var"], heads["mean"])
    for a, b in zip(decoder.get_weights(), mirror.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    again, _ = networks.variational_pair(kind, (8, 8, 1), 3, (4,), seed=2)
    for a, b in zip(again.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_variational_pair_with_classes_hears_them_on_both_sides(kind, rng):
    encoder, decoder = networks.variational_pair(
        kind, (8, 8, 1), 3, (32,), num_classes=5, seed=0
    )
    x = np.repeat(rng.random((1, 8, 8, 1)).astype("float32"), 5, axis=0)
    z = np.repeat(rng.normal(size=(1, 3)).astype("float32"), 5, axis=0)
    labels = np.arange(5, dtype="int32")
    heads = encoder({"x": x, "labels": labels})
    images = decoder({"z": z, "labels": labels})
    assert set(heads) == {"mean", "log_var"}
    assert images.shape == x.shape
    for found in (*heads.values(), images):
        rows = ops.convert_to_numpy(found).reshape(5, -1)
        assert len(np.unique(rows.round(5), axis=0)) == 5


def test_variational_pair_one_hot_entries_are_as_large_as_a_code_s():
    # entries of mean square 1, like those of N(0, I): √C for the class
    _, decoder = networks.variational_pair(
        "dense", (6,), 2, (), num_classes=4, seed=0
    )
    kernel, bias = decoder.get_weights()
    labels = np.array([3], "int32")
    image = decoder({"z": np.zeros((1, 2), "float32"), "labels": labels})
    np.testing.assert_allclose(
        ops.convert_to_numpy(image)[0], 2.0 * kernel[2 + 3] + bias, rtol=1e-5
    )


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_classifier_gives_logits_and_drops_out_before_them(kind, rng):
    model = networks.classifier(kind, (8, 8, 1), 5, (4,), dropout=0.9, seed=1)
    x = rng.random((3, 8, 8, 1)).astype("float32")
    assert model.output_shape == (None, 5)
    assert model.layers[-1].activation is keras.activations.linear
    still = ops.convert_to_numpy(model(x))
    np.testing.assert_array_equal(still, ops.convert_to_numpy(model(x)))
    assert not np.allclose(still, ops.convert_to_numpy(model(x, training=True)))
    same, other = (
        networks.classifier(kind, (8, 8, 1), 5, (4,), seed=seed)
        for seed in (1, 2)
    )
    for a, b, c in zip(*map(kernels, (model, same, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
