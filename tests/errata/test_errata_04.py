"""Every fault of the articles' variational autoencoders, twice.

As ``test_errata.py``: each test first makes the fault happen in a few lines
of its own, then shows the right form beside it, with the models of
``utils.models.vaes``. The numbers are those of ``docs/errata.md``.
"""

import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils.models import VAE, Autoencoder, SemiSupervisedVAE
from utils.nn import backend, losses
from utils.nn.layers import Sampling
from utils.nn.likelihoods import Bernoulli, Gaussian

BACKEND = keras.backend.backend()
STEPS = 32 if BACKEND == "tensorflow" else 1


# ------------------------------------------------------------------ helpers


def array(value):
    return np.asarray(ops.convert_to_numpy(value), "float64")


def rows_of(n=5, d=6, seed=0):
    return np.random.default_rng(seed).random((n, d)).astype("float32")


def tiny(**options):
    return VAE.dense((6,), 2, widths=(4,), seed=0, **options)


def set_head(model, name, kernel, bias):
    """Give one of the encoder's two heads constant weights."""
    head = model.encoder.get_layer(name)
    shapes = [w.shape for w in head.get_weights()]
    head.set_weights(
        [
            np.broadcast_to(value, shape)
            for value, shape in zip((kernel, bias), shapes, strict=True)
        ]
    )


def evaluated(model, x, outputs=None):
    """−ELBO of given outputs (or of a fresh pass), as ``evaluate`` has it."""
    x = ops.convert_to_tensor(x)
    outputs = model(x) if outputs is None else outputs
    return float(array(model.compute_loss(x, None, outputs, training=False)))


def terms(model, x):
    """Both terms of −ELBO, nats an image, of one pass."""
    made = model(ops.convert_to_tensor(x))
    kl = losses.gaussian_kl(made["mean"], made["log_var"])
    nll = model.likelihood.negative_log_likelihood(x, made)
    return array(nll).mean(), array(kl).mean()


def sketch(repeat=False, width=12, k=4):
    """A network like S000-3, its impossible activation taken out."""
    layers = [keras.Input((width,)), keras.layers.Dense(4 * k, "relu")]
    if repeat:
        layers.append(keras.layers.RepeatVector(k))
    layers += [keras.layers.Dense(k), keras.layers.Dense(width, "sigmoid")]
    return keras.Sequential(layers)


def fitted(cls, digits, **options):
    model = cls.dense((64,), 8, widths=(64,), seed=0, **options)
    model.compile(
        keras.optimizers.Adam(5e-3),
        steps_per_execution=STEPS,
        # compiling costs TensorFlow more than it saves on so few steps
        jit_compile=False if BACKEND == "tensorflow" else "auto",
    )
    model.fit(digits.x_train, batch_size=64, epochs=12, verbose=0)
    return model


@pytest.fixture(scope="module")
def trained(digits):
    """A sound VAE of digits after a short fit."""
    keras.utils.set_random_seed(0)
    return fitted(VAE, digits)


# ------------------------------------------------ article 000, its formula


def test_e003_divergence_is_between_distributions_of_the_code():
    """KL(q(z|x) ‖ p(z)); between densities of x it forbids the code."""
    w, noise = np.array([[2.0], [1.0]]), 0.5  # x = w z + noise, z ~ N(0, 1)
    marginal = w @ w.T + noise**2 * np.eye(2)

    def articles_divergence(w, given):
        """E_z KL(N(w z, noise² I) ‖ N(0, given)), exactly."""
        own = noise**2 * np.eye(2)
        inverse = np.linalg.inv(given)
        trace = np.trace(inverse @ (own + w @ w.T))
        sizes = np.linalg.slogdet(given)[1] - np.linalg.slogdet(own)[1]
        return 0.5 * (trace - 2 + sizes)

    # for the true model it is the information between x and z, not 0 …
    information = 0.5 * np.log(1 + (w**2).sum() / noise**2)
    assert np.isclose(articles_divergence(w, marginal), information)
    assert information > 1.0
    # … and no encoder occurs in it; the decoder lowers it by ignoring z
    smaller = [articles_divergence(s * w, marginal) for s in (1, 0.5, 0)]
    assert smaller[0] > smaller[1] > smaller[2]

    kl = losses.gaussian_kl(np.zeros((1, 3)), np.zeros((1, 3)))
    assert array(kl) == pytest.approx(0.0, abs=1e-7)
    kl = losses.gaussian_kl(np.ones((1, 3)), np.zeros((1, 3)))
    assert array(kl) == pytest.approx(1.5)


def test_e004_mean_of_the_loss_over_draws_not_loss_of_the_mean():
    x = rows_of(1)
    plain = Autoencoder.dense((6,), 2, widths=(4,), seed=0)
    assert np.array_equal(plain.reconstruct(x), plain.reconstruct(x))

    model = tiny(likelihood=Gaussian(1.0))
    first, second = (array(model(x)["reconstruction"]) for _ in "ab")
    assert np.abs(first - second).max() > 1e-3
    many = np.repeat(x, 4000, axis=0)
    drawn = array(losses.squared_error(many, model(many)["reconstruction"]))
    at_mean = array(losses.squared_error(x, model.reconstruct(x)))
    error = drawn.std() / len(drawn) ** 0.5
    assert drawn.mean() > at_mean[0] + 5 * error
    set_head(model, "log_var", 0.0, -60.0)  # no noise: the loss of the mean
    assert np.allclose(array(model(x)["reconstruction"]), model.reconstruct(x))


def test_e005_one_divergence_a_row_inside_the_mean_over_data():
    a, b = rows_of(7, seed=1), rows_of(7, seed=2)
    z = np.random.default_rng(0).standard_normal((500, 2))

    def over_the_prior(x):
        """What a mean over z ~ p(z) alone can depend on: not on x."""
        return np.mean(0.5 * (z**2).sum(axis=1))

    assert over_the_prior(a) == over_the_prior(b)

    model = tiny()
    kl_a, kl_b = (
        array(losses.gaussian_kl(**model.posterior(x))) for x in (a, b)
    )
    assert kl_a.shape == (7,)
    assert np.ptp(kl_a) > 1e-4 and abs(kl_a.mean() - kl_b.mean()) > 1e-4
    model.compile()
    found = model.evaluate(a, verbose=0, return_dict=True)
    assert found["kl"] == pytest.approx(kl_a.mean(), rel=1e-4)


def test_e006_two_networks_two_sets_of_weights():
    model = tiny()
    phi, theta = model.encoder.get_weights(), model.decoder.get_weights()
    with pytest.raises(ValueError):
        model.decoder.set_weights(phi)  # one θ cannot even fit both
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    model.fit(rows_of(8), batch_size=8, verbose=0)
    for network, before in ((model.encoder, phi), (model.decoder, theta)):
        for new, old in zip(network.get_weights(), before, strict=True):
            assert np.abs(new - old).max() > 0.0


def test_e007_beta_beside_a_bare_squared_error(digits):
    x, x_hat = rows_of(4, seed=1), rows_of(4, seed=2)
    kl = array(losses.gaussian_kl(rows_of(4, 2), rows_of(4, 2)))
    squared = array(losses.squared_error(x, x_hat))
    for sigma in (0.1, 1.0, 3.0):
        bound = array(losses.gaussian_nll(x, x_hat, sigma)) + kl
        weighted = squared + 2 * sigma**2 * kl  # β = 1
        scale, constant = 2 * sigma**2, 0.5 * 6 * np.log(2 * np.pi * sigma**2)
        assert np.allclose(weighted / scale + constant, bound, rtol=1e-5)
        beta = 1 / (2 * sigma**2)  # of the plain sum: 50 for σ = 0.1
        with_beta = bound + (beta - 1) * kl
        plain = squared + kl
        assert np.allclose(plain / scale + constant, with_beta, rtol=1e-5)

    # what a weight w does: a linear decoder's best weight along a direction
    # of variance v is √(v − w/2), and 0 where the digits vary less than that
    variances = np.linalg.eigvalsh(np.cov(digits.x_train.T))[::-1][:8]
    weights = np.linspace(0, 1.5, 1501)[:, None]

    def used(weight):
        total = weights**2 + weight / 2
        cost = np.log(total) + variances / total
        return int((weights[cost.argmin(axis=0)] > 0).sum())

    assert used(0.02) == 8 and used(20.0) == 0  # w = 20: σ = 3.2 on [0, 1]


def test_e008_encoder_gives_a_distribution_not_a_vector():
    x = rows_of()
    assert Autoencoder.dense((6,), 2, widths=(4,), seed=0).encoder(x).shape == (
        5,
        2,
    )
    heads = VAE.dense((6,), 2, widths=(64,), seed=0).encoder(x)
    assert set(heads) == {"mean", "log_var"}
    assert all(heads[name].shape == (5, 2) for name in heads)
    assert array(heads["log_var"]).min() < 0.0  # a logarithm, not a variance


# --------------------------------------------------- the program of S000-3


def test_e018_two_passes_agree_to_the_bit_without_a_draw():
    x = rows_of(3, 12)
    network = sketch()
    assert np.array_equal(array(network(x)), array(network(x)))

    mean, log_var = np.full((200_000, 1), 2.0), np.full((200_000, 1), -1.3863)
    layer = Sampling(seed=0)
    inputs = [
        ops.convert_to_tensor(a.astype("float32")) for a in (mean, log_var)
    ]
    first, second = array(layer(inputs)), array(layer(inputs))
    assert not np.allclose(first, second)
    assert first.mean() == pytest.approx(2.0, abs=0.006)
    assert first.std() == pytest.approx(0.5, abs=0.004)


def test_e019_divergence_is_part_of_the_loss():
    x = rows_of(6, 12)
    network = sketch()
    network(x)
    assert network.losses == []

    model = tiny()
    x = rows_of()
    kernel, bias = model.decoder.layers[1].get_weights()
    model.decoder.layers[1].set_weights([0 * kernel, bias])  # z is not read
    set_head(model, "code", 0.0, 0.0)
    values = []
    for log_var in (0.0, 1.0):
        set_head(model, "log_var", 0.0, log_var)
        values.append(evaluated(model, x))
    # two units, each ½ (e − 1 − 1)
    assert values[1] - values[0] == pytest.approx(np.e - 2, rel=1e-3)


def test_e020_repeated_vectors_stay_equal():
    copies = array(sketch(repeat=True)(rows_of(3, 12)))
    assert copies.shape == (3, 4, 12)
    assert np.abs(copies - copies[:, :1]).max() < 1e-6
    assert np.ptp(copies, axis=2).max() > 1e-2

    assert tiny().decode(np.zeros((3, 2))).shape == (3, 6)


def test_e021_target_and_output_differ_in_rank():
    x = rows_of(8, 12)
    network = sketch(repeat=True)
    network.compile(loss="binary_crossentropy", run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="target"):
        network.fit(x, x, verbose=0)

    model = VAE.dense((12,), 4, widths=(8,), seed=0)
    assert model(x)["reconstruction"].shape == x.shape
    model.compile(run_eagerly=EAGERLY)
    model.fit(x, verbose=0)


def test_e022_prior_draws_need_a_decoder_of_their_own(trained):
    z = np.random.default_rng(0).standard_normal((10, 4)).astype("float32")
    network = sketch()  # whole from x to x̂: no way in for a code
    with pytest.raises(ValueError):
        network(z)

    made = trained.sample(10, seed=0)
    assert made.shape == (10, 64)
    assert made.min() >= 0.0 and made.max() <= 1.0
    assert made.std(axis=0).mean() > 0.05


# ----------------------------------------------------------- article 000 §5


def test_e023_labels_enter_a_classifier_not_a_vae():
    x, y = rows_of(12), np.arange(12) % 3
    plain = tiny()
    assert not hasattr(plain, "classify")
    plain.compile(run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="target"):
        plain.fit(x, y)

    model = SemiSupervisedVAE.dense((6,), 2, num_classes=3, widths=(4,), seed=0)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="y: expected integers"):
        model.fit(x)
    before = model.classifier.get_weights()
    model.fit(x, np.where(np.arange(12) < 6, y, -1), verbose=0)
    assert any(
        np.any(new != old)
        for new, old in zip(model.classifier.get_weights(), before, strict=True)
    )
    assert np.allclose(model.classify(x).sum(axis=1), 1.0, atol=1e-5)


def test_e024_random_codes_decode_to_digits_in_a_vae_alone(trained, digits):
    plain = fitted(Autoencoder, digits, likelihood=Bernoulli())
    z = np.random.default_rng(1).standard_normal((359, 8)).astype("float32")

    def distance(rows):
        """To the nearest training digit; unseen digits have 1."""
        table = ((rows[:, None] - digits.x_train[None]) ** 2).sum(axis=2)
        return np.sqrt(table.min(axis=1)).mean()

    unseen = distance(digits.x_test)
    by_plain = distance(plain.decode(z)) / unseen
    by_vae = distance(trained.decode(z)) / unseen
    assert by_plain > 1.4  # 1.5 to 1.7 over three seeds
    assert by_vae < 1.35  # 1.2 to 1.3
    # and not because the plain one had not learned to copy
    rebuilt = [
        ((m.reconstruct(digits.x_test) - digits.x_test) ** 2).mean()
        for m in (plain, trained)
    ]
    assert rebuilt[0] < rebuilt[1]


# --------------------------------------------------------- article 003 §3.3


def linear_gaussian(x, scale=0.5):
    """A VAE that knows its exact posterior, and log p(x) of the rows."""
    model = VAE.dense((3,), 2, widths=(), seed=0, likelihood=Gaussian(scale))
    w = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])  # (k, d), orthogonal
    size = (w**2).sum(axis=1) + scale**2
    model.decoder.set_weights([w, np.zeros(3)])
    model.encoder.get_layer("code").set_weights([w.T / size, np.zeros(2)])
    set_head(model, "log_var", 0.0, np.log(scale**2 / size))
    covariance = w.T @ w + scale**2 * np.eye(3)
    whole = np.einsum("nd,nd->n", x @ np.linalg.inv(covariance), x)
    determinant = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return model, -0.5 * (whole + determinant), w, size


def test_e106_marginal_is_an_integral_over_the_prior():
    scale = 0.5
    x = np.random.default_rng(0).normal(0, 1.5, (4, 3)).astype("float32")
    model, log_px, w, size = linear_gaussian(x, scale)
    # p(x | z) is another number for every z …
    rng = np.random.default_rng(1)
    z = rng.standard_normal((200_000, 2))
    squared = ((x[0] - z @ w) ** 2).sum(axis=1)
    given = -squared / (2 * scale**2) - 1.5 * np.log(2 * np.pi * scale**2)
    assert given.std() > 1.0
    # … and p(x) the mean of p(x | z) over the prior
    marginal = np.logaddexp.reduce(given) - np.log(len(z))
    assert marginal == pytest.approx(log_px[0], abs=0.1)

    # log p(x) = ELBO + KL(q(z | x) ‖ p(z | x)), here by another q
    assert np.allclose(model.log_likelihood(x, 1, seed=0), log_px, atol=1e-3)
    for shift, spread in ((0.0, 0.0), (0.3, 0.0), (0.2, 0.5)):
        log_var = np.log(scale**2 / size) + spread
        set_head(model, "log_var", 0.0, log_var)
        head = model.encoder.get_layer("code")
        head.set_weights([head.get_weights()[0], np.full(2, shift)])
        ratio = np.exp(spread)
        moved = (shift**2 / (scale**2 / size)).sum()
        gap = 0.5 * (moved + 2 * (ratio - 1 - spread))
        bound = model.elbo(x, 4000, seed=0)
        assert np.allclose(bound + gap, log_px, atol=0.1)
        assert (bound <= log_px + 0.1).all()


# --------------------------------------------------- the program of S003-3


def test_e116_reparameterisation_is_a_way_of_writing_a_draw():
    """Two writings of one distribution; the gradient passes through one."""
    mean = ops.convert_to_tensor(np.full((50_000, 1), 1.0, "float32"))
    noise = keras.random.normal((50_000, 1), seed=3)

    def drawn(mean):  # a number is drawn, where from is forgotten
        return ops.stop_gradient(mean) + 0.5 * noise

    def written(mean):  # no layer, no weights: an expression
        return mean + 0.5 * noise

    for draw in (drawn, written):
        z = array(draw(mean))
        assert z.mean() == pytest.approx(1.0, abs=0.02)
        assert z.std() == pytest.approx(0.5, abs=0.02)
    slope = backend.input_gradient(
        lambda m: ops.sum(drawn(m) ** 2) + 0.0 * ops.sum(m), mean
    )
    assert not np.any(array(slope))
    slope = array(
        backend.input_gradient(lambda m: ops.sum(written(m) ** 2), mean)
    )
    assert slope.mean() == pytest.approx(2.0, abs=0.05)  # d E[z²] / dμ = 2μ
    assert Sampling().weights == []


def test_e117_loss_of_the_program_is_defined():
    program = "loss = loss_function(x_hat, x, mean, log_var)"
    with pytest.raises(NameError, match="loss_function"):
        exec(program, dict.fromkeys(("x_hat", "x", "mean", "log_var"), 0.0))

    model, x = tiny(), rows_of()
    outputs = model(x)
    logits, mean, log_var = (
        array(outputs[name]) for name in ("logits", "mean", "log_var")
    )
    entropy = (np.logaddexp(0, logits) - x * logits).sum(axis=1)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(axis=1)
    right = (entropy + kl).mean()
    assert evaluated(model, x, outputs) == pytest.approx(right, rel=1e-5)


def test_e118_images_against_flat_outputs():
    torch = pytest.importorskip("torch")
    images, flat = torch.rand(2, 1, 4, 4), torch.rand(2, 16)
    cross_entropy = torch.nn.functional.binary_cross_entropy
    with pytest.raises(ValueError, match="different to the input size"):
        cross_entropy(flat, images)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        cross_entropy(flat, (images.reshape(2, 16) - 0.1307) / 0.3081)


def test_e118_targets_flat_or_not_and_in_range():
    # PyTorch stops if given probabilities; the others, and PyTorch if given
    # logits, go below zero without a word
    x = (rows_of(4) - 0.1307) / 0.3081
    sure = np.full_like(x, 9.0)
    found = keras.losses.binary_crossentropy(x, sure, from_logits=True)
    assert array(found).min() < 0.0

    model = VAE.dense((4, 4, 1), 2, widths=(4,), seed=0)
    images = np.random.default_rng(0).random((3, 4, 4, 1)).astype("float32")
    assert model(images)["logits"].shape == images.shape
    model.compile(run_eagerly=EAGERLY)
    with pytest.raises(ValueError, match="x: expected"):
        model.fit(images.reshape(3, 16))
    with pytest.raises(ValueError, match="x: expected"):
        model.fit((images - 0.1307) / 0.3081)


def test_e119_pixel_mean_multiplies_beta_by_the_number_of_pixels(
    trained, digits
):
    x = digits.x_test
    # mean over 64 pixels + KL is (sum + 64 KL) / 64
    trapped = fitted(VAE, digits, beta=64.0)
    found, right = (terms(m, x) for m in (trapped, trained))
    assert found[1] < 0.01 and right[1] > 0.1
    spread, sound = (
        m.reconstruct(x).std(axis=0).mean() for m in (trapped, trained)
    )
    assert spread < 0.1 * sound
    # and the number it prints looks far better
    assert found[0] / 64 + found[1] < 0.1 * sum(right)
    assert found[0] > sum(right)


def test_e120_loss_of_an_image_not_of_a_batch():
    model, x = tiny(), rows_of(6)
    outputs = model(x)
    doubled = {
        name: ops.concatenate([value, value]) for name, value in outputs.items()
    }
    twice = np.concatenate([x, x])

    def batch_sum(x, outputs):
        nll = losses.bernoulli_nll(x, outputs["logits"])
        kl = losses.gaussian_kl(outputs["mean"], outputs["log_var"])
        return array(nll + kl).sum()

    once = batch_sum(x, outputs)
    assert batch_sum(twice, doubled) == pytest.approx(2 * once, rel=1e-5)

    right = evaluated(model, x, outputs)
    assert right == pytest.approx(once / 6, rel=1e-5)
    assert evaluated(model, twice, doubled) == pytest.approx(right, rel=1e-5)
