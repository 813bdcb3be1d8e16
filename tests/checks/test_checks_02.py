"""Checks of chapter 2: wrong answers are named, unusual right ones pass."""

import numpy as np
import pytest
from answers import Watched, rejects, stub, tells_wrong_from_right
from keras import ops

from utils import data
from utils.checks import chapter_02
from utils.models.autoencoders import Autoencoder, DenoisingAutoencoder
from utils.nn.likelihoods import SquaredError

checks = Watched(chapter_02)

# ---------------------------------------------------------------- 2.1


@pytest.mark.parametrize("answer", [0.89, np.float32(0.89), np.array([0.89])])
def test_check_2_1_right_value_passes(answer, capsys):
    checks.check_2_1(answer)
    assert "correct" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, match",
    [
        (3.56, "sum over the four pixels"),
        (0, "never leaves"),
        (0.81, "two lie below 0"),
        (0.08, "one lies above 1"),
        (2.1025, "predicting 0"),
        (0.5, "not the floor"),
        (None, "waits for your answer"),
        ("0.89 or so", "should be numbers"),
    ],
)
def test_check_2_1_wrong_value_is_named(answer, match):
    rejects(checks.check_2_1, answer, match=match)


# ---------------------------------------------------------------- 2.2


@pytest.mark.parametrize(
    "answer",
    [
        lambda model, x: model.encode(x),
        lambda model, x: model.predict(x, verbose=0)["code"],
        lambda model, x: model.encoder.predict(x),
        lambda model, x: model.encoder(x),
        lambda model, x: np.stack([model.encode(row[None])[0] for row in x]),
    ],
)
def test_check_2_2_any_route_to_the_code_passes(answer):
    checks.check_2_2(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda model, x: model.reconstruct(x), "that is the reconstruction"),
        (lambda model, x: model.predict(x)["reconstruction"], "reconstruction"),
        (lambda model, x: model.predict(x), "dictionary"),
        (lambda model, x: model.encode(x).T, "shape"),
        (lambda model, x: x[:, :3], "not the model's codes"),
        (lambda model, x: None, "forget the `return`"),
        (lambda model: None, "TypeError"),
        (np.zeros((20, 3)), "expects the function itself"),
    ],
)
def test_check_2_2_wrong_answer_is_named(answer, match):
    rejects(checks.check_2_2, answer, match=match)


def test_check_2_2_unanswered_stub_is_named():
    rejects(checks.check_2_2, stub, match="waits for your answer")


# ---------------------------------------------------------------- 2.3


def _same_shape(x, x_hat):
    if x.shape != x_hat.shape:
        raise ValueError("shapes differ")


def _by_norms(x, x_hat):
    _same_shape(x, x_hat)
    flat = ops.reshape(x - x_hat, (len(x), -1))
    return ops.mean(ops.norm(flat, axis=1) ** 2)


def _by_loop(x, x_hat):
    _same_shape(x, x_hat)
    return sum(
        ((a - b) ** 2).sum() for a, b in zip(x, x_hat, strict=True)
    ) / len(x)


def _reduced(reduction):
    def loss(x, x_hat):
        _same_shape(x, x_hat)
        return reduction((x - x_hat) ** 2)

    return loss


@pytest.mark.parametrize("answer", [_by_norms, _by_loop])
def test_check_2_3_right_loss_passes(answer):
    checks.check_2_3(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (_reduced(np.mean), "mean over pixels"),
        (_reduced(np.sum), "depends on the batch size"),
        (_reduced(lambda s: s.sum((1, 2, 3))), "one number"),
        (_reduced(lambda s: np.sqrt(s.sum((1, 2, 3)).mean())), "square root"),
        (_reduced(lambda s: np.sqrt(s).sum() / 6), "absolute"),
        (_reduced(lambda s: 0.5 * s.sum() / 6), "factor ½"),
        (_reduced(lambda s: s.sum() / 7), "should be|the loss is"),
        (lambda x, y: ((x - y) ** 2).sum() / len(x), "broadcast"),
        (lambda x, y: None, "None"),
    ],
)
def test_check_2_3_wrong_loss_is_named(answer, match):
    rejects(checks.check_2_3, answer, match=match)


def test_check_2_3_other_error_for_shapes_is_named():
    def loss(x, x_hat):
        if x.shape != x_hat.shape:
            raise IndexError
        return ((x - x_hat) ** 2).sum() / len(x)

    rejects(checks.check_2_3, loss, match="IndexError")


# ---------------------------------------------------------------- 2.4


def _noise(x, sigma, rng):
    return sigma * rng.standard_normal(x.shape)


def _in_place(x, sigma, rng):
    target = x
    x += _noise(x, sigma, rng)
    return x, target


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, s, rng: (x + rng.normal(0, s, x.shape), x),
        lambda x, s, rng: [np.clip(x + _noise(x, s, rng), 0, 1), x.copy()],
        lambda x, s, rng: (rng.normal(x, s).astype("float32"), x),
    ],
)
def test_check_2_4_right_pair_passes(answer):
    checks.check_2_4(answer)


def _noisy_target(x, sigma, rng):
    noisy = x + _noise(x, sigma, rng)
    return noisy, noisy


def _same_pattern(x, sigma, rng):
    return x + sigma * rng.standard_normal(x.shape[1:]), x


@pytest.mark.parametrize(
    "answer, match",
    [
        (_noisy_target, "target is noisy"),
        (lambda x, s, rng: (x, x + _noise(x, s, rng)), "swapped"),
        (lambda x, s, rng: (x, x), "Neither"),
        (_same_pattern, "Every row got the same noise"),
        (_in_place, "changed the array"),
        (lambda x, s, rng: (x + rng.uniform(0, s, x.shape), x), "mean"),
        (lambda x, s, rng: (x + s * _noise(x, s, rng), x), "deviation"),
        (
            lambda x, s, rng: (x + _noise(x, s, np.random.default_rng(0)), x),
            "draw from the `rng`",
        ),
        (lambda x, s, rng: x + _noise(x, s, rng), "two arrays"),
    ],
)
def test_check_2_4_wrong_pair_is_named(answer, match):
    rejects(checks.check_2_4, answer, match=match)


# ---------------------------------------------------------------- 2.5


def _sklearn_pca(x_train, x_test, k, fit_on=None):
    from sklearn.decomposition import PCA

    pca = PCA(k).fit(x_train if fit_on is None else fit_on)
    x_hat = pca.inverse_transform(pca.transform(x_test))
    return np.mean((x_test - x_hat) ** 2)


def _by_eigenvectors(x_train, x_test, k):
    centred = x_train - x_train.mean(0)
    w = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :k]
    rest = (x_test - x_train.mean(0)) @ (np.eye(len(w)) - w @ w.T)
    return (rest**2).mean()


def _uncentred(x_train, x_test, k):
    w = np.linalg.svd(x_train, full_matrices=False)[2][:k].T
    return np.mean((x_test - x_test @ w @ w.T) ** 2)


@pytest.mark.parametrize("answer", [_sklearn_pca, _by_eigenvectors])
def test_check_2_5_right_baseline_passes(answer):
    checks.check_2_5(answer)


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda a, b, k: _sklearn_pca(b, b, k), "on the test rows"),
        (
            lambda a, b, k: _sklearn_pca(a, b, k, np.concatenate([a, b])),
            "training and test rows together",
        ),
        (_uncentred, "mean is missing"),
        (lambda a, b, k: 6 * _sklearn_pca(a, b, k), "summed over the entries"),
        (lambda a, b, k: 150 * _sklearn_pca(a, b, k), "summed over everything"),
        (lambda a, b, k: _sklearn_pca(a, b, k) ** 0.5, "root"),
        (lambda a, b, k: _sklearn_pca(a, b, 2), "wrong for k = 4"),
        (lambda a, b, k: _sklearn_pca(a, a, k), "does not change with x_test"),
        (lambda a, b, k: np.nan, "NaN"),
    ],
)
def test_check_2_5_wrong_baseline_is_named(answer, match):
    rejects(checks.check_2_5, answer, match=match)


# ---------------------------------------------------------------- 2.6


def _fitted(rows, epochs, latent_dim=8):
    model = Autoencoder.dense(
        (8, 8, 1),
        latent_dim,
        widths=(256,),
        seed=1,
        likelihood=SquaredError("sigmoid"),
    )
    model.compile("adam")
    if epochs:
        model.fit(rows, epochs=epochs, batch_size=16, verbose=0)
    return model


@pytest.mark.slow
def test_check_2_6_trained_model_passes():
    digits = data.load("digits")
    checks.check_2_6(_fitted(digits.x_train, 25))


@pytest.mark.slow
def test_check_2_6_flat_denoising_model_passes():
    x = data.load("digits").flat().x_train
    model = DenoisingAutoencoder.dense(
        (64,),
        8,
        amount=0.05,
        widths=(256,),
        seed=1,
        likelihood=SquaredError("sigmoid"),
    )
    model.compile("adam")
    model.fit(x, epochs=25, batch_size=16, verbose=0)
    checks.check_2_6(model)


def test_check_2_6_untrained_model_is_named():
    rejects(checks.check_2_6, _fitted(None, 0), match="Was the model trained")


def test_check_2_6_wider_code_is_named():
    model = _fitted(None, 0, latent_dim=16)
    rejects(checks.check_2_6, model, match="16 units")


def test_check_2_6_short_training_is_named():
    model = _fitted(data.load("digits").x_train, 2)
    rejects(checks.check_2_6, model, match="train longer")


@pytest.mark.slow
def test_check_2_6_training_on_test_rows_is_named():
    model = _fitted(data.load("digits").x_test, 60)
    rejects(checks.check_2_6, model, match="see the test rows")


def test_check_2_6_other_shape_or_type_is_named():
    rejects(checks.check_2_6, Autoencoder.dense((10,), 8), match="8 × 8")
    rejects(checks.check_2_6, "model", match="trained model itself")


# ---------------------------------------------------------------- 2.7


def _gaussian(codes, count, rng):
    covariance = np.cov(codes.T)
    return rng.multivariate_normal(codes.mean(0), covariance, size=count)


def _mixture(codes, count, rng):
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(30, random_state=0, reg_covar=1e-4).fit(codes)
    seed = int(rng.integers(2**31))
    return mixture.set_params(random_state=seed).sample(count)[0]


def _kernel(codes, count, rng):
    chosen = codes[rng.integers(len(codes), size=count)]
    return chosen + 0.1 * rng.standard_normal(chosen.shape)


@pytest.mark.parametrize("answer", [_mixture, _kernel])
def test_check_2_7_right_sampler_passes(answer):
    checks.check_2_7(answer)


def _independent(codes, count, rng):
    noise = rng.standard_normal((count, codes.shape[1]))
    return codes.mean(0) + codes.std(0) * noise


@pytest.mark.parametrize(
    "answer, match",
    [
        (lambda z, n, rng: z[rng.integers(len(z), size=n)], "copies"),
        (lambda z, n, rng: rng.standard_normal((n, z.shape[1])), "cover|far"),
        (_independent, "independent coordinates"),
        (_gaussian, "combinations"),
        (
            lambda z, n, rng: z.mean(0) + 0.01 * rng.standard_normal((n, 6)),
            "near the mean",
        ),
        (lambda z, n, rng: z[:n] + 0.1, "two generators|Two generators"),
        (lambda z, n, rng: rng.standard_normal((n, 2)), "shape"),
    ],
)
def test_check_2_7_wrong_sampler_is_named(answer, match):
    rejects(checks.check_2_7, answer, match=match)


def test_each_check_tells_wrong_from_right():
    tells_wrong_from_right(checks)
