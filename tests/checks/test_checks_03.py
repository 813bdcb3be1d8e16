"""Checks of chapter 3: wrong answers are named, unusual right ones pass."""

import keras
import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from utils import data
from utils.checks import chapter_03
from utils.models.gans import GAN, ConditionalGAN, RelativisticGAN
from utils.nn import networks
from utils.nn.backend import input_gradient, weight_gradients

checks = Watched(chapter_03)

softplus, mean, cut = ops.softplus, ops.mean, ops.stop_gradient
STEPS = 32 if keras.backend.backend() == "tensorflow" else 1


@pytest.mark.parametrize(
    "check",
    [
        checks.check_3_2,
        checks.check_3_3,
        checks.check_3_5,
        checks.check_3_6,
        checks.check_3_7,
        checks.check_3_8,
    ],
)
def test_checks_name_the_unanswered_stub_and_the_missing_return(check):
    rejects(check, stub, match="waits for your answer")
    said = "return|two losses|Neither network has moved"
    rejects(check, lambda *arguments: None, match=said)


# ---------------------------------------------------------------- 3.1

RIGHT_3_1 = [0.75, 0.125, -0.97625, -0.125, -0.875]


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT_3_1,
        tuple(RIGHT_3_1),
        np.float32([0.75, 0.125, -0.976, -1 / 8, -7 / 8]),
    ],
)
def test_check_3_1_right_numbers_pass(answer, capsys):
    checks.check_3_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place, value, match",
    [
        (0, 0.25, "share of \\*generated\\* rows"),
        (0, 0.9, "given A, from which source"),
        (0, 0.5, "equally frequent"),
        (0, 1.0, "not with a label"),
        (1, 0.875, "share of \\*generated\\* rows"),
        (1, 0.1, "given B, from which source"),
        (1, 0.3, "given B, from which source|set its slope to zero"),
        (1, 0.13, "too coarse: give three"),
        (0, 0.758, "too coarse: give three"),
        (2, -0.98, "too coarse: give three"),
        (2, 0.97625, "That is −V"),
        (2, -1.40843, "in bits"),
        (2, 0.41004, "2 JS"),
        (2, 0.20502, "JS itself"),
        (2, -1.38629, "p_g equals p_data"),
        (2, -0.46686, "generated rows are missing"),
        (2, -3.0, "four terms"),
        (3, 0.125, "label 0"),
        (4, 0.875, "sign is turned"),
        (4, -8.0, "by D, not by the logit"),
        (4, -0.5, "softplus"),
        (3, -0.5, "derivative is −σ"),
    ],
)
def test_check_3_1_wrong_number_is_named(place, value, match):
    answer = list(RIGHT_3_1)
    answer[place] = value
    rejects(checks.check_3_1, answer, match=match)


def test_check_3_1_exchanged_slopes_and_bad_form_are_named():
    exchanged = [*RIGHT_3_1[:3], -0.875, -0.125]
    rejects(checks.check_3_1, exchanged, match="exchanged the two")
    rejects(checks.check_3_1, [0.75], match="list of five")
    rejects(checks.check_3_1, None, match="waits for your answer")
    rejects(checks.check_3_1, [np.nan] * 5, match="NaN")


# ---------------------------------------------------------------- 3.2


def _by_bce(generator, discriminator, theta, psi, x, z):
    """Keras's own loss; D's loss cut at θ instead of at the rows."""
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    real = discriminator(x, psi)
    fake = discriminator(generator(z, cut(theta)), psi)
    fooled = discriminator(generator(z, theta), cut(psi))
    ones, zeros = ops.ones_like(real), ops.zeros_like(real)
    return [bce(ones, real) + bce(zeros, fake), bce(ones, fooled)]


def _by_logarithms(generator, discriminator, theta, psi, x, z):
    made = generator(z, theta)
    d_real = ops.sigmoid(discriminator(x, psi))
    d_fake = ops.sigmoid(discriminator(cut(made), psi))
    d_fooled = ops.sigmoid(discriminator(made, cut(psi)))
    d_loss = -mean(ops.log(d_real) + ops.log(1 - d_fake))
    return d_loss, -mean(ops.log(d_fooled))


def _in_float64(generator, discriminator, theta, psi, x, z):
    """Every score in double precision."""
    made = generator(z, theta)

    def double(rows, weights):
        return ops.cast(discriminator(rows, weights), "float64")

    d_loss = mean(softplus(-double(x, psi)))
    d_loss = d_loss + mean(softplus(double(cut(made), psi)))
    return d_loss, mean(softplus(-double(made, cut(psi))))


@pytest.mark.parametrize("answer", [_by_bce, _by_logarithms, _in_float64])
def test_check_3_2_right_losses_pass(answer, capsys):
    checks.check_3_2(answer)
    assert "correct" in capsys.readouterr().out


def _losses(
    d_loss=lambda real, fake: mean(softplus(-real)) + mean(softplus(fake)),
    g_loss=lambda fooled, real, made, x: mean(softplus(-fooled)),
    cut_rows=cut,
    cut_d=cut,
    own_rows=lambda rows: rows,
    own_weights=lambda psi: psi,
    real_weights=lambda psi: psi,
):
    """An answer to 3.2 with one part exchanged."""

    def answer(generator, discriminator, theta, psi, x, z):
        made = generator(z, theta)
        real = discriminator(x, own_weights(real_weights(psi)))
        fake = discriminator(cut_rows(made), own_weights(psi))
        fooled = discriminator(own_rows(made), cut_d(psi))
        return d_loss(real, fake), g_loss(fooled, real, made, x)

    return answer


def same(value):
    return value


WRONG_3_2 = {
    "D never sees fakes": (
        {"d_loss": lambda r, f: mean(softplus(-r))},
        "never sees a generated row",
    ),
    "no real rows": (
        {"d_loss": lambda r, f: mean(softplus(f))},
        "real rows are missing",
    ),
    "exchanged labels": (
        {"d_loss": lambda r, f: mean(softplus(r)) + mean(softplus(-f))},
        "exchanged",
    ),
    "label 1 for both": (
        {"d_loss": lambda r, f: mean(softplus(-r)) + mean(softplus(-f))},
        "label 1",
    ),
    "value, not loss": (
        {"d_loss": lambda r, f: -mean(softplus(-r)) - mean(softplus(f))},
        "sign of d_loss",
    ),
    "half": (
        {"d_loss": lambda r, f: mean(softplus(-r) + softplus(f)) / 2},
        "factor ½",
    ),
    "summed": (
        {"d_loss": lambda r, f: ops.sum(softplus(-r) + softplus(f))},
        "summed over the batch",
    ),
    "two sigmoids": (
        {
            "d_loss": lambda r, f: (
                mean(softplus(-ops.sigmoid(r))) + mean(softplus(ops.sigmoid(f)))
            )
        },
        "sigmoid too many",
    ),
    "mean over the last axis": (
        {"d_loss": lambda r, f: mean(softplus(-r) + softplus(f), axis=-1)},
        "one loss",
    ),
    "another d_loss": (
        {"d_loss": lambda r, f: mean((r - 1) ** 2) + mean(f**2)},
        "On a test batch d_loss",
    ),
    "label 0 for G": (
        {"g_loss": lambda s, *rest: mean(softplus(s))},
        "label 0",
    ),
    "saturating": (
        {"g_loss": lambda s, *rest: -mean(softplus(s))},
        "saturating",
    ),
    "G's sign": (
        {"g_loss": lambda s, *rest: -mean(softplus(-s))},
        "sign of g_loss",
    ),
    "G summed": (
        {"g_loss": lambda s, *rest: ops.sum(softplus(-s))},
        "summed g_loss",
    ),
    "G on real rows": (
        {"g_loss": lambda s, real, *rest: mean(softplus(-real))},
        "no influence",
    ),
    "a loss of G's own": (
        {"g_loss": lambda s, real, made, x: mean((made - x) ** 2)},
        "loss of G's own",
    ),
    "two sigmoids in G": (
        {"g_loss": lambda s, *rest: mean(softplus(-ops.sigmoid(s)))},
        "sigmoid too many",
    ),
    "another g_loss": (
        {"g_loss": lambda s, *rest: mean((s - 1) ** 2)},
        "On a test batch g_loss",
    ),
    "rows not cut": ({"cut_rows": same}, "d_loss reaches G's weights"),
    "weights not cut": ({"cut_d": same}, "g_loss reaches D's weights"),
    "nothing cut": (
        {"cut_rows": same, "cut_d": same},
        "d_loss reaches G's weights",
    ),
    "cut on the wrong side": (
        {"own_rows": cut, "cut_rows": same, "cut_d": same},
        "G never moves",
    ),
    "D frozen": ({"own_weights": cut}, "D is frozen"),
    "D learns from fakes alone": ({"real_weights": cut}, "two terms is cut"),
}


@pytest.mark.parametrize("name", WRONG_3_2)
def test_check_3_2_wrong_loss_is_named(name):
    parts, match = WRONG_3_2[name]
    rejects(checks.check_3_2, _losses(**parts), match=match)


def test_check_3_2_numpy_inside_a_loss_is_named():
    def answer(generator, discriminator, theta, psi, x, z):
        made = generator(z, theta)
        real = ops.convert_to_numpy(discriminator(x, psi))
        fake = ops.convert_to_numpy(discriminator(made, psi))
        d_loss = np.mean(np.logaddexp(0, -real) + np.logaddexp(0, fake))
        return d_loss, np.mean(np.logaddexp(0, -fake))

    rejects(checks.check_3_2, answer, match="keras.ops")


# ---------------------------------------------------------------- 3.3


def _step(
    d_loss=lambda real, fake: mean(softplus(-real)) + mean(softplus(fake)),
    g_loss=lambda fake: mean(softplus(-fake)),
    noise_of_g=lambda z_d, z_g: z_g,
    order="DG",
):
    """An answer to 3.3 with one part exchanged."""

    def answer(g, d, d_optimizer, g_optimizer, x, z_d, z_g):
        def move_d():
            made = g(z_d)
            slopes = weight_gradients(
                lambda: d_loss(d(x), d(made)), d.trainable_variables
            )
            d_optimizer.apply(slopes, d.trainable_variables)

        def move_g():
            z = noise_of_g(z_d, z_g)
            slopes = weight_gradients(
                lambda: g_loss(d(g(z))), g.trainable_variables
            )
            g_optimizer.apply(slopes, g.trainable_variables)

        for player in order:
            {"D": move_d, "G": move_g}[player]()

    return answer


def _together(noise=lambda z_d, z_g: z_g):
    def answer(g, d, d_optimizer, g_optimizer, x, z_d, z_g):
        made, z = g(z_d), noise(z_d, z_g)
        of_d = weight_gradients(
            lambda: mean(softplus(-d(x))) + mean(softplus(d(made))),
            d.trainable_variables,
        )
        of_g = weight_gradients(
            lambda: mean(softplus(-d(g(z)))), g.trainable_variables
        )
        d_optimizer.apply(of_d, d.trainable_variables)
        g_optimizer.apply(of_g, g.trainable_variables)

    return answer


def _exchanged(g, d, d_optimizer, g_optimizer, x, z_d, z_g):
    _step()(g, d, g_optimizer, d_optimizer, x, z_d, z_g)


def _moves_d_as_well(g, d, d_optimizer, g_optimizer, x, z_d, z_g):
    _step(order="D")(g, d, d_optimizer, g_optimizer, x, z_d, z_g)
    both = g.trainable_variables + d.trainable_variables
    slopes = weight_gradients(lambda: mean(softplus(-d(g(z_g)))), both)
    g_optimizer.apply(slopes, both)


def _step_by_cross_entropy(g, d, d_optimizer, g_optimizer, x, z_d, z_g):
    """Keras's loss on one batch of both kinds, and a return value."""
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    made = cut(g(z_d))
    labels = ops.concatenate([ops.ones((8, 1)), ops.zeros((8, 1))])

    def d_loss():
        scores = d(ops.concatenate([x, made]))
        return 2.0 * bce(labels, scores[:, None])

    slopes = weight_gradients(d_loss, d.trainable_variables)
    d_optimizer.apply_gradients(zip(slopes, d.trainable_variables, strict=True))
    slopes = weight_gradients(
        lambda: bce(ops.ones((8, 1)), d(g(z_g))[:, None]),
        g.trainable_variables,
    )
    g_optimizer.apply(slopes, g.trainable_variables)
    return "done"


def _step_by_hand(g, d, d_optimizer, g_optimizer, x, z_d, z_g):
    """No optimiser at all: the same descent written out."""
    for network, loss in (
        (d, lambda: mean(softplus(-d(x))) + mean(softplus(d(g(z_d))))),
        (g, lambda: mean(softplus(-d(g(z_g))))),
    ):
        weights = network.trainable_variables
        slopes = weight_gradients(loss, weights)
        optimizer = d_optimizer if network is d else g_optimizer
        rate = float(ops.convert_to_numpy(optimizer.learning_rate))
        for weight, slope in zip(weights, slopes, strict=True):
            weight.assign(weight - rate * slope)


@pytest.mark.parametrize(
    "answer", [_step(), _step_by_cross_entropy, _step_by_hand]
)
def test_check_3_3_right_step_passes(answer, capsys):
    checks.check_3_3(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (_step(order=""), "Neither network has moved"),
        (_step(order="D"), "G has not moved"),
        (_step(order="G"), "D has not moved"),
        (_step(order="GD"), "G moved before D"),
        (_step(order="DDG"), "one step on L_D"),
        (_step(order="DGG"), "D's step is right"),
        (_together(), "at the same time: G's slope"),
        (_together(lambda z_d, z_g: z_d), "same time and on the same noise"),
        (_moves_d_as_well, "moves D as well"),
        (_exchanged, "optimisers are exchanged"),
        (_step(noise_of_g=lambda z_d, z_g: z_d), "takes the fresh z_g"),
        (
            _step(d_loss=lambda real, fake: mean(softplus(-real))),
            "never sees a generated row",
        ),
        (
            _step(d_loss=lambda real, fake: mean(softplus(fake))),
            "never sees the real rows",
        ),
        (
            _step(
                d_loss=lambda real, fake: (
                    mean(softplus(real)) + mean(softplus(-fake))
                )
            ),
            "labels are exchanged",
        ),
        (
            _step(
                d_loss=lambda real, fake: (
                    mean(softplus(-real) + softplus(fake)) / 2
                )
            ),
            "adds them",
        ),
        (_step(g_loss=lambda fake: mean(softplus(fake))), "label 0"),
        (_step(g_loss=lambda fake: -mean(softplus(fake))), "saturating"),
        (
            _step(d_loss=lambda real, fake: mean(real * np.nan)),
            "NaN or infinite",
        ),
        (3.0, "expects the function itself"),
        (lambda g, d: None, "TypeError"),
    ],
)
def test_check_3_3_wrong_step_is_named(answer, match):
    rejects(checks.check_3_3, answer, match=match)


# ---------------------------------------------------------------- 3.4


def _ring_rows(kind, n):
    """Samples as the ring's models give them, without training."""
    rows, _ = data.make_toy("gaussians", n=n, seed=3)
    rng = np.random.default_rng(0)
    if kind == "one mode":
        rows = rows[:1] + 0.1 * rng.standard_normal((n, 2))
    elif kind == "smeared":
        rows = rows + 0.3 * rng.standard_normal((n, 2))
    elif kind == "untrained":
        rows = rng.standard_normal((n, 2))
    return rows.astype("float32")


def _ring_model(cls, kind, beta_1, shape=(2,), steps=1500, **options):
    class Played(cls):
        def sample(self, n, *, seed=None):
            return _ring_rows(kind, n)

    if cls is RelativisticGAN:
        options = {"r1": 0.0, "r2": 0.0, **options}
    model = Played.dense(shape, 2, output="linear", seed=0, **options)
    if steps is not None:
        model.compile(keras.optimizers.Adam(1e-3, beta_1=beta_1))
        model.optimizer.iterations.assign(steps)
    return model


class OwnPairs(GAN):
    """Pairs written by a learner, not the library's class."""

    def player_losses(self, real, fake, fooled):
        return softplus(fake - real), softplus(cut(real) - fooled)


PAIRED = _ring_model(RelativisticGAN, "smeared", 0.9)
CALM = _ring_model(GAN, "good", 0.0)


def test_check_3_4_right_experiment_passes(capsys):
    checks.check_3_4(PAIRED, CALM, ["calm"])
    checks.check_3_4(PAIRED, CALM, "calm")
    both = _ring_model(RelativisticGAN, "good", 0.9)
    checks.check_3_4(both, CALM, ("calm", "paired"))
    sgd = _ring_model(GAN, "good", 0.0)
    sgd.compile(keras.optimizers.SGD(0.1))
    sgd.optimizer.iterations.assign(2000)
    checks.check_3_4(PAIRED, sgd, {"calm"})
    own = _ring_model(OwnPairs, "smeared", 0.9)
    checks.check_3_4(own, CALM, np.array(["calm"]).tolist())
    assert capsys.readouterr().out.count("correct") == 5


@pytest.mark.parametrize(
    "paired, calm, rescued, match",
    [
        ("PAIRED", CALM, ["calm"], "`paired` should be a trained model"),
        (PAIRED, "model", ["calm"], "`calm` should be a trained model"),
        (
            PAIRED,
            _ring_model(GAN, "good", 0.0, shape=(3,)),
            ["calm"],
            "rows of shape",
        ),
        (
            PAIRED,
            _ring_model(GAN, "good", 0.0, steps=None),
            ["calm"],
            "no optimiser",
        ),
        (CALM, CALM, ["calm"], "a RelativisticGAN"),
        (
            PAIRED,
            _ring_model(RelativisticGAN, "good", 0.0),
            ["calm"],
            "two changes at once",
        ),
        (
            _ring_model(RelativisticGAN, "good", 0.0),
            CALM,
            ["calm"],
            "two changes at once",
        ),
        (PAIRED, _ring_model(GAN, "good", 0.9), ["calm"], "still has momentum"),
        (PAIRED, _ring_model(GAN, "one mode", 0.0), [], "1 of 8 modes"),
        (PAIRED, _ring_model(GAN, "untrained", 0.0), [], "Train for 1 500"),
        (
            _ring_model(RelativisticGAN, "smeared", 0.9, steps=0),
            CALM,
            ["calm"],
            "`paired` has made 0 steps",
        ),
        (
            _ring_model(RelativisticGAN, "smeared", 0.5),
            CALM,
            ["calm"],
            "two changes at once. Leave it at Adam's default",
        ),
        (
            PAIRED,
            _ring_model(GAN, "good", 0.0, r1=0.1, r2=0.1),
            ["calm"],
            "`calm` penalises slopes",
        ),
        (
            _ring_model(RelativisticGAN, "smeared", 0.9, r1=0.1, r2=0.1),
            CALM,
            ["calm"],
            "`paired` penalises slopes",
        ),
        (PAIRED, CALM, ["paired", "calm"], "Few lost modes"),
        (PAIRED, CALM, [], "rescued ones are \\['calm'\\]"),
        (PAIRED, CALM, ["neither"], "lists names"),
        (PAIRED, CALM, 2, "lists names"),
        (PAIRED, CALM, None, "waits for your answer: rescued is None"),
    ],
)
def test_check_3_4_wrong_experiment_is_named(paired, calm, rescued, match):
    rejects(checks.check_3_4, paired, calm, rescued, match=match)


# ---------------------------------------------------------------- 3.5


def _generator(last="sigmoid", hidden="relu", width=None, out=None):
    def answer(latent_dim, shape):
        size = int(np.prod(shape))
        return keras.Sequential(
            [
                keras.Input((width or latent_dim,)),
                keras.layers.Dense(16, activation=hidden),
                keras.layers.Dense(out or size, activation=last),
                keras.layers.Reshape(shape if out is None else (out,)),
            ]
        )

    return answer


def _subclassed(latent_dim, shape):
    class Generator(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(8, "silu")
            self.out = keras.layers.Dense(int(np.prod(shape)), "tanh")

        def call(self, z):
            x = (self.out(self.hidden(z)) + 1) / 2
            return ops.reshape(x, (-1, *shape))

    return Generator()


def _from_library(latent_dim, shape):
    return networks.generator(latent_dim, shape, (8, 8), seed=1)


def _noisy(latent_dim, shape):
    return _generator(
        hidden=lambda h: ops.relu(h + keras.random.normal(ops.shape(h)))
    )(latent_dim, shape)


def _noise_width(latent_dim, shape):
    return _generator(out=latent_dim)(latent_dim, shape)


def _deaf(latent_dim, shape):
    inputs = keras.Input((latent_dim,))
    outputs = keras.layers.Dense(
        int(np.prod(shape)), "sigmoid", kernel_initializer="zeros"
    )(inputs)
    return keras.Model(inputs, keras.layers.Reshape(shape)(outputs))


def _one_layer(last):
    """A single linear layer and its last activation."""

    def answer(latent_dim, shape):
        return keras.Sequential(
            [
                keras.Input((latent_dim,)),
                keras.layers.Dense(int(np.prod(shape)), activation=last),
                keras.layers.Reshape(shape),
            ]
        )

    return answer


def _noise_while_training(layer):
    def answer(latent_dim, shape):
        model = _generator()(latent_dim, shape)
        return keras.Sequential([keras.Input((latent_dim,)), layer, model])

    return answer


def _deep_and_small(latent_dim, shape):
    """Three hidden layers of small weights: nearly constant."""
    small = keras.initializers.RandomNormal(stddev=0.05, seed=0)
    hidden = [
        keras.layers.Dense(64, "relu", kernel_initializer=small)
        for _ in range(3)
    ]
    out = keras.layers.Dense(int(np.prod(shape)), "sigmoid")
    return keras.Sequential(
        [keras.Input((latent_dim,)), *hidden, out, keras.layers.Reshape(shape)]
    )


def _same_noise_always(latent_dim, shape):
    """Noise inside, of a fixed seed: z and its place decide."""
    model = _generator()(latent_dim, shape)

    def answer(z):
        noise = keras.random.normal(ops.shape(z), seed=1)
        return model(z + ops.cast(noise, z.dtype))

    return answer


def _left_in_training(latent_dim, shape):
    """Statistics of the batch, whatever the mode."""
    model = _generator()(latent_dim, shape)
    norm = keras.layers.BatchNormalization()
    norm.build((None, latent_dim))
    return lambda z: model(norm(z, training=True))


def _plain_function(latent_dim, shape):
    """No Keras model, but a function of z that works as one."""
    model = _generator()(latent_dim, shape)
    return lambda z: model(z)


def _normalised(latent_dim, shape):
    """Batch normalisation: another output while training, no chance."""
    model = _generator()(latent_dim, shape)
    norm = keras.layers.BatchNormalization()
    return keras.Sequential([keras.Input((latent_dim,)), norm, model])


@pytest.mark.parametrize(
    "answer",
    [
        _generator(),
        _generator("hard_sigmoid"),
        _subclassed,
        _from_library,
        _plain_function,
        _normalised,
        _generator("softmax"),
        _deep_and_small,
    ],
)
def test_check_3_5_right_generator_passes(answer, capsys):
    checks.check_3_5(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (_generator("normal"), "noise is not one"),
        (_generator(hidden="normal"), "noise is not one"),
        (_noisy, "two different outputs"),
        (_generator(width=16), "width latent_dim"),
        (_noise_width, "width of the \\*noise\\*"),
        (_generator(out=64), "shape of|rows of shape"),
        (_generator("linear"), "leave the data's range"),
        (_generator("relu"), "leave the data's range"),
        (_generator("tanh"), "as of a tanh"),
        (_generator(hidden=None), "linear\\* map"),
        (_one_layer("sigmoid"), "linear\\* map"),
        (_one_layer("softmax"), "linear\\* map"),
        (_one_layer("hard_sigmoid"), "linear\\* map"),
        (
            _noise_while_training(keras.layers.GaussianNoise(0.5)),
            "adds noise of its own",
        ),
        (
            _noise_while_training(keras.layers.Dropout(0.5)),
            "adds noise of its own",
        ),
        (_deaf, "z is ignored"),
        (_same_noise_always, "another output in another batch"),
        (_left_in_training, "another output in another batch"),
        (lambda k, s: keras.layers.Dense(8, "nonsense"), "noise is not one"),
        (lambda k, s: "G", "Return a Keras model"),
        (lambda k: None, "TypeError"),
    ],
)
def test_check_3_5_wrong_generator_is_named(answer, match):
    rejects(checks.check_3_5, answer, match=match)


# ---------------------------------------------------------------- 3.6


def _digits(n=500):
    """Unseen digits: what a perfect generator would give."""
    digits = data.load("digits")
    rows = np.concatenate([digits.x_test, digits.x_val])
    return rows[:n]


def _mean_image():
    return data.load("digits").x_train.mean(axis=0)


def _noise(seed=0):
    return np.random.default_rng(seed).standard_normal((500, 8, 8, 1))


def _fitted(cls, epochs=4, repeats=8, **options):
    digits = data.load("digits")
    x = np.tile(digits.x_train, (repeats, 1, 1, 1))
    y = np.tile(digits.y_train, repeats) if "num_classes" in options else None
    model = cls.dense(
        (8, 8, 1),
        16,
        **{"generator_widths": (128, 128), "critic_widths": (128, 128)},
        **{"seed": 2, **options},
    )
    steps = max(1, epochs * -(-len(x) // 64))
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(
        keras.optimizers.Adam(schedule, beta_1=0.0, beta_2=0.9),
        steps_per_execution=STEPS,
    )
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: _digits(n),
        lambda n: _digits(n).reshape(n, 64).tolist(),
        lambda n: np.clip(_digits(n) + 0.05 * _noise(), 0, 1),
    ],
)
def test_check_3_6_samples_like_digits_pass(answer, capsys):
    checks.check_3_6(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls, options",
    [(RelativisticGAN, {}), (ConditionalGAN, {"num_classes": 10, "r1": 0.1})],
)
def test_check_3_6_trained_model_passes(cls, options):
    checks.check_3_6(_fitted(cls, **options))


def test_check_3_6_regression_on_noise_is_named():
    """The articles' generator, with a loss of its own."""
    x = np.tile(data.load("digits").x_train, (4, 1, 1, 1))
    model = networks.generator(16, (8, 8, 1), (64,), seed=0)
    model.compile("adam", "mse", steps_per_execution=STEPS)
    z = np.random.default_rng(0).standard_normal((len(x), 16))
    model.fit(z, x, batch_size=64, epochs=2, verbose=0)

    def sample(n):
        new = np.random.default_rng(1).standard_normal((n, 16))
        return model.predict(new, verbose=0)

    rejects(checks.check_3_6, sample, match="mean image")


def test_check_3_6_frozen_generator_is_named():
    model = GAN.dense((8, 8, 1), 16, seed=0)
    rejects(checks.check_3_6, model, match="untrained")
    model.generator.trainable = False
    rejects(checks.check_3_6, model, match="the generator has `trainable")


class RealOnly(GAN):
    """D never sees fakes."""

    def player_losses(self, real, fake, fooled):
        return softplus(-real) + 0 * fake, softplus(-fooled)


class LabelZero(GAN):
    """Label 0 in the generator's step."""

    def player_losses(self, real, fake, fooled):
        return softplus(-real) + softplus(fake), softplus(fooled)


class FrozenD(GAN):
    """D's loss moves nothing."""

    def player_losses(self, real, fake, fooled):
        d_loss = softplus(-real) + softplus(fake)
        return 0.0 * d_loss, softplus(-fooled)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls, match",
    [
        (RealOnly, "Does D see generated rows"),
        (LabelZero, "label 0"),
        (FrozenD, "D does not learn"),
    ],
)
def test_check_3_6_mistakes_of_training_are_named(cls, match):
    model = _fitted(cls, epochs=2, repeats=4)
    rejects(checks.check_3_6, model, match=match)


def _some_digits(n):
    digits = data.load("digits")
    rows = np.concatenate([digits.x_test, digits.x_val])
    labels = np.concatenate([digits.y_test, digits.y_val])
    rows = rows[labels < 5]
    return np.clip(np.tile(rows, (3, 1, 1, 1))[:n] + 0.02 * _noise(), 0, 1)


def _training_rows(noise):
    def answer(n):
        rows = data.load("digits").x_train[:n]
        return np.clip(rows + noise * _noise(), 0, 1)

    return answer


def _class_means(noise):
    def answer(n):
        digits = data.load("digits")
        means = [
            digits.x_train[digits.y_train == c].mean(axis=0) for c in range(10)
        ]
        rows = np.stack(means)[np.arange(n) % 10]
        return np.clip(rows + noise * _noise(), 0, 1)

    return answer


def _independent_pixels(n):
    x = data.load("digits").x_train
    return np.clip(x.mean(axis=0) + x.std(axis=0) * _noise(), 0, 1)


def _mixture(n):
    """Chapter 1's generator: right, and no network."""
    x = data.load("digits").flat().x_train
    pca = PCA(16, random_state=0).fit(x)
    mixture = GaussianMixture(10, reg_covar=1e-2, random_state=0)
    codes, _ = mixture.fit(pca.transform(x)).sample(n)
    return np.clip(pca.inverse_transform(codes), 0, 1)


def test_check_3_6_mixture_passes():
    checks.check_3_6(_mixture)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_training_rows(0.01), "training rows with a little noise"),
        (_training_rows(0.1), "training rows with a little noise"),
        (_class_means(0.1), "noise on single pixels"),
        (_class_means(0.2), "noise on single pixels"),
        (_independent_pixels, "noise on single pixels"),
        ("model", "anything with `sample`"),
        (lambda n: np.tile(_mean_image(), (n, 1, 1, 1)), "mean image"),
        (lambda n: np.tile(_digits(1), (n, 1, 1, 1)), "unlike the data"),
        (lambda n: data.load("digits").x_train[:n], "copies"),
        (lambda n: 255 * _digits(n), "the data from 0 to 1"),
        (lambda n: _digits(n)[:, :4], "have shape"),
        (lambda n: 0.693, "no image"),
        (lambda n: np.random.default_rng(0).random((n, 64)), "untrained"),
        (_some_digits, "partly collapsed"),
        (lambda n: _digits(n) * np.nan, "NaN"),
    ],
)
def test_check_3_6_wrong_samples_are_named(answer, match):
    rejects(checks.check_3_6, answer, match=match)


# ---------------------------------------------------------------- 3.7


def _penalty(
    alpha_shape=(1, 1, 1),
    place=lambda a, x, s: a * x + (1 - a) * s,
    function=lambda critic: critic,
    axis=(1, 2, 3),
    finish=lambda squared: (ops.sqrt(squared + 1e-12) - 1) ** 2,
    draw=lambda shape, seed: keras.random.uniform(shape, seed=seed),
):
    """An answer to 3.5 with one part exchanged."""

    def answer(critic, x, samples, seed):
        alpha = draw((x.shape[0], *alpha_shape), seed)
        between = place(alpha, x, samples)
        gradient = input_gradient(function(critic), between)
        return finish(ops.sum(ops.square(gradient), axis=axis))

    return answer


def _unusual_penalty(critic, x, samples, seed):
    """NumPy's α, towards the samples; the norm of flattened rows."""
    n = len(x)
    alpha = np.random.default_rng().random((n, 1, 1, 1), "float32")
    rows = x + ops.convert_to_tensor(alpha) * (samples - x)
    slope = ops.reshape(input_gradient(critic, rows), (n, -1))
    return ops.square(ops.norm(slope, axis=1) - 1)


def _as_column(critic, x, samples, seed):
    return ops.reshape(_penalty()(critic, x, samples, seed), (-1, 1))


@pytest.mark.parametrize("answer", [_penalty(), _unusual_penalty, _as_column])
def test_check_3_7_right_penalty_passes(answer, capsys):
    checks.check_3_7(answer)
    assert "correct" in capsys.readouterr().out


def _shared(shape, seed):
    return keras.random.uniform((1, *shape[1:]), seed=seed)


WRONG_3_7 = {
    "norm squared": ({"finish": lambda q: q}, "smallest at slope 0"),
    "norm": ({"finish": ops.sqrt}, "the norm itself"),
    "no square": ({"finish": lambda q: ops.sqrt(q) - 1}, "square is missing"),
    "no root": ({"finish": lambda q: (q - 1) ** 2}, "root is missing"),
    "lambda": (
        {"finish": lambda q: 10 * (ops.sqrt(q) - 1) ** 2},
        "belongs to the caller",
    ),
    "mean of scores": (
        {"function": lambda critic: lambda x: mean(critic(x))},
        "divided by n",
    ),
    "norm over the batch": ({"axis": None}, "whole batch"),
    "last axis": ({"axis": -1}, "every axis but the first"),
    "two axes": ({"axis": (1, 2)}, "every axis but the first|all axes"),
    "averaged": (
        {"finish": lambda q: mean((ops.sqrt(q) - 1) ** 2)},
        "one value a row",
    ),
    "one-sided": (
        {"finish": lambda q: ops.relu(ops.sqrt(q) - 1) ** 2},
        "two-sided",
    ),
    "another": ({"finish": lambda q: 7 * q}, "plane of slope 3"),
    "real rows": ({"place": lambda a, x, s: x}, "at the real rows"),
    "generated": ({"place": lambda a, x, s: s}, "at the generated rows"),
    "midpoint": ({"place": lambda a, x, s: (x + s) / 2}, "always ½"),
    "one alpha": ({"draw": _shared}, "share one α"),
    "pixelwise": ({"alpha_shape": (2, 3, 1)}, "every \\*pixel\\*"),
    "normal": (
        {"draw": lambda shape, seed: keras.random.normal(shape, seed=seed)},
        "outside the segment",
    ),
    "coin": (
        {
            "draw": lambda shape, seed: ops.round(
                keras.random.uniform(shape, seed=seed)
            )
        },
        "not uniform",
    ),
    "fixed seed": (
        {"draw": lambda shape, seed: keras.random.uniform(shape, seed=1)},
        "same α",
    ),
    "gradient cut": (
        {"finish": lambda q: cut((ops.sqrt(q) - 1) ** 2)},
        "would not train the critic",
    ),
}


@pytest.mark.parametrize("name", WRONG_3_7)
def test_check_3_7_wrong_penalty_is_named(name):
    parts, match = WRONG_3_7[name]
    rejects(checks.check_3_7, _penalty(**parts), match=match)


# ---------------------------------------------------------------- 3.8


def _by_nearest(history, spread):
    """The nearest of six prototypes: no rule of thumb at all."""
    prototypes = {
        "settled": (1.3, 0.8, 0.7, 0.75, 0.21),
        "no fakes": (0, 0, 1, 0, 0.15),
        "label 0": (0, 0, 1, 1, 0.06),
        "frozen D": (5.5, 0, 0.4, 0, 0),
        "frozen G": (0, 3, 1, 1, 0.15),
        "collapse": (0, 3, 1, 1, 0),
    }
    end = np.array([history[name][-1] for name in checks.CURVES])
    end[1] = min(end[1], 3.0)
    run = np.append(end, spread)
    scale = np.array([1, 1, 1, 1, 0.05])
    return min(
        prototypes,
        key=lambda name: np.sum(((run - prototypes[name]) / scale) ** 2),
    )


def _by_rules(history, spread, without=None):
    loss, g_loss = (
        history[f"{p}_loss"] for p in ("discriminator", "generator")
    )
    real, fake = history["real_accuracy"], history["fake_accuracy"]
    if 0.5 < loss[-1] < 2 and spread > 0.1 and without != "settled":
        return "settled"
    if loss[-1] > 2 and without != "frozen D":
        return "frozen D"
    if fake[-1] < 0.5 and real[-1] > 0.5 and without != "no fakes":
        return "no fakes"
    if g_loss[-1] < 1 and without != "label 0":
        return "label 0"
    if spread > 0.1 and without != "frozen G":
        return "frozen G"
    return "collapse"


@pytest.mark.parametrize("answer", [_by_rules, _by_nearest])
def test_check_3_8_right_rules_pass(answer, capsys):
    checks.check_3_8(answer)
    assert "correct" in capsys.readouterr().out


def _without(kind):
    return lambda history, spread: _by_rules(history, spread, without=kind)


def _only_the_table(history, spread):
    """Knows the six runs that were shown, and no other."""
    shown = {0.214, 0.14, 0.061, 0.006, 0.147, 0.0}
    return _by_rules(history, spread) if spread in shown else "settled"


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda history, spread: "settled", "no success here"),
        (_without("settled"), "Nobody wins"),
        (_without("no fakes"), "Nobody shows it fakes"),
        (_without("label 0"), "the players agree"),
        (_without("frozen D"), "does not move in any digit"),
        (_without("frozen G"), "spread of an untrained generator"),
        (
            lambda h, s: _by_rules(h, s).replace("collapse", "frozen G"),
            "draws one picture",
        ),
        (_only_the_table, "an unseen run"),
        (lambda history, spread: "healthy", "none of the six names"),
        (lambda history, spread: history["loss"], "KeyError"),
        ("settled", "expects the function itself"),
        (["settled"], "expects the function itself"),
        (lambda history, spread: ["settled"], "none of the six names"),
    ],
)
def test_check_3_8_wrong_rules_are_named(answer, match):
    rejects(checks.check_3_8, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
