"""The games of `models.gans`: gradients, penalties, contract, errors."""

import dataclasses
import inspect
import json

import contracts
import keras
import numpy as np
import pytest
from contracts import EAGERLY
from keras import ops

from utils.models.base import CourseModel
from utils.models.gans import (
    GAN,
    WGANGP,
    ConditionalGAN,
    RelativisticGAN,
    pure_scores,
)
from utils.nn import networks
from utils.nn.backend import input_gradient

BACKEND = keras.backend.backend()
STEPS = 1 if BACKEND == "torch" else 4
SMALL = {
    "input_shape": (3,),
    "latent_dim": 2,
    "generator_widths": (5,),
    "critic_widths": (6,),
    "output": "linear",
    "seed": 4,
}
GAMES = {
    "non_saturating": (GAN, {"r1": 0.7}),
    "saturating": (GAN, {"loss": "saturating"}),
    "least_squares": (GAN, {"loss": "least_squares", "r2": 0.4}),
    "conditional": (ConditionalGAN, {"num_classes": 3, "r1": 0.3}),
    "wgan_gp": (WGANGP, {"gradient_penalty": 3.0}),
    "relativistic": (RelativisticGAN, {"r1": 0.5, "r2": 0.2}),
}
each_game = pytest.mark.parametrize("game", GAMES)


def make(game, network="dense", **more):
    cls, config = GAMES[game]
    return getattr(cls, network)(**{**SMALL, **config, **more})


def given(game, generator, discriminator, **more):
    cls, config = GAMES[game]
    return cls(generator, discriminator, **{**config, **more})


def rows(n=8, seed=0):
    return np.random.default_rng(seed).normal(1, 2, (n, 3)).astype("float32")


def labels_for(model, n):
    return np.arange(n) % 3 if isinstance(model, ConditionalGAN) else None


def compiled(model, learning_rate=0.05, **compile_args):
    model.compile(keras.optimizers.SGD(learning_rate), **compile_args)
    return model


def arrays(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def number(value):
    return float(ops.convert_to_numpy(value))


def named(model):
    """Every trainable weight with its player's name: paths repeat."""
    return {
        f"{player}/{v.path}": v
        for player in ("discriminator", "generator")
        for v in getattr(model, player).trainable_variables
    }


def one_step(model, x):
    """What one step of descent with rate 1 takes from each weight."""
    weights = named(model)
    before = arrays(weights.values())
    compiled(model, 1.0, run_eagerly=EAGERLY)
    model.fit(
        x,
        labels_for(model, len(x)),
        batch_size=len(x),
        shuffle=False,
        verbose=0,
    )
    after = arrays(weights.values())
    changes = [old - new for old, new in zip(before, after, strict=True)]
    return dict(zip(weights, changes, strict=True))


def train(model, steps):
    x = rows(8 * steps, seed=1)
    compiled(model, steps_per_execution=STEPS)
    model.fit(x, labels_for(model, len(x)), batch_size=8, verbose=0)
    return model


# ------------------------------------------- two separate backward passes


def sigmoid_log(s):
    return -ops.log(1.0 + ops.exp(-s))


def oracle_losses(game, real, fake):
    """Mean losses of both players, in other words than the library's."""
    if game == "wgan_gp":
        return ops.mean(fake) - ops.mean(real), -ops.mean(fake)
    if game == "relativistic":
        return (
            -ops.mean(sigmoid_log(real - fake)),
            -ops.mean(sigmoid_log(fake - real)),
        )
    if game == "least_squares":
        return (
            ops.mean((real - 1) ** 2 / 2) + ops.mean(fake**2 / 2),
            ops.mean((fake - 1) ** 2 / 2),
        )
    d_loss = -ops.mean(sigmoid_log(real)) - ops.mean(sigmoid_log(-fake))
    if game == "saturating":
        return d_loss, ops.mean(sigmoid_log(-fake))
    return d_loss, -ops.mean(sigmoid_log(fake))


def oracle_gradients(model, game, x):
    """Gradient of each player's loss by each of its own weights.

    Nothing is cut here: each pass differentiates by one weight of one
    player alone. The seed generator's state is put back afterwards.
    """
    state = ops.convert_to_numpy(model.noise.state.value).copy()
    z = keras.random.normal((len(x), model.latent_dim), seed=model.noise)
    alpha = keras.random.uniform((len(x), 1), seed=model.noise)
    model.noise.state.assign(state)
    labels = labels_for(model, len(x))
    labels = None if labels is None else ops.convert_to_tensor(labels)
    x = ops.convert_to_tensor(x)

    def apply(network, key, value, index=None, weight=None):
        weights = [v.value for v in network.trainable_variables]
        if index is not None:
            weights[index] = weight
        inputs = value if labels is None else {key: value, "labels": labels}
        return network.stateless_call(weights, [], inputs)[0]

    def d_loss(index, weight):
        def score(v):
            return apply(model.discriminator, "x", v, index, weight)

        def square(v):
            return ops.sum(input_gradient(score, v) ** 2, axis=1)

        samples = apply(model.generator, "z", z)
        total, _ = oracle_losses(game, score(x), score(samples))
        total = total + model.r1 / 2 * ops.mean(square(x))
        total = total + model.r2 / 2 * ops.mean(square(samples))
        if game == "wgan_gp":
            norm = ops.sqrt(square(alpha * x + (1 - alpha) * samples))
            total += model.gradient_penalty * ops.mean((norm - 1) ** 2)
        return total

    def g_loss(index, weight):
        samples = apply(model.generator, "z", z, index, weight)
        real = apply(model.discriminator, "x", x)
        return oracle_losses(
            game, real, apply(model.discriminator, "x", samples)
        )[1]

    found = {}
    for player, loss in (("discriminator", d_loss), ("generator", g_loss)):
        variables = getattr(model, player).trainable_variables
        for index, v in enumerate(variables):
            try:
                gradient = input_gradient(
                    lambda w, i=index, f=loss: f(i, w), v.value
                )
                found[f"{player}/{v.path}"] = ops.convert_to_numpy(gradient)
            except ValueError:  # a weight the loss does not depend on
                found[f"{player}/{v.path}"] = np.zeros(v.shape, "float32")
    return found


@each_game
@pytest.mark.parametrize("steps", [0, 50])
def test_game_one_pass_gradients_equal_two_separate_passes(game, steps):
    model = make(game)
    if steps:
        train(model, steps)
    x = rows()
    expected = oracle_gradients(model, game, x)
    found = one_step(model, x)
    assert found.keys() == expected.keys()
    moved = 0
    for path, gradient in found.items():
        np.testing.assert_allclose(
            gradient, expected[path], atol=1e-5, rtol=1e-5, err_msg=path
        )
        moved += np.any(np.abs(gradient) > 1e-4)
    # not an equality of zeros; a critic's last bias may have none
    assert moved >= len(found) - 2


@each_game
@pytest.mark.parametrize("steps", [0, 50])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_game_loss_of_one_player_leaves_the_other_unmoved(game, steps, player):
    model = make(game)
    if steps:
        train(model, steps)
    losses = model.player_losses

    def one_sided(real, fake, fooled):
        d_loss, g_loss = losses(real, fake, fooled)
        if player == "discriminator":
            return d_loss, 0.0 * g_loss  # exactly zero gradients
        return 0.0 * d_loss, g_loss

    model.player_losses = one_sided
    if player == "generator":
        model.penalty = lambda *args: 0.0
    moved = one_step(model, rows())
    own = {name for name in moved if name.startswith(player)}
    for path, change in moved.items():
        if path not in own:
            assert not change.any(), path
    assert sum(bool(moved[path].any()) for path in own) >= len(own) - 1


@each_game
@pytest.mark.skipif(BACKEND != "tensorflow", reason="about its graphs")
def test_game_tensorflow_reads_no_weight_that_may_have_moved(game):
    # Its graph optimiser had dropped the order: now and then a generator
    # was differentiated through weights of the same step's end.
    from graphs import reads_without_order

    model = make(game)
    model.compile(keras.optimizers.SGD(0.1))
    x = rows(8)
    if isinstance(model, ConditionalGAN):
        x = {"x": x, "labels": np.arange(8, dtype="int32") % 3}
    pairs, without_order = reads_without_order(model, x)
    assert pairs > 30
    assert not without_order


def test_gan_twenty_steps_of_one_player_reach_its_own_goal():
    """D lowers its loss; G raises D's belief in the samples (E01)."""
    x = rows(64)
    for player, better in (("discriminator", -1), ("generator", 1)):
        model = make("saturating", r1=0.0)
        other = {"discriminator": "generator", "generator": "discriminator"}
        kept = arrays(getattr(model, other[player]).trainable_variables)

        def measure(model=model):
            out = contracts.numpy_tree(model(ops.convert_to_tensor(x)))
            d_loss, _ = oracle_losses(
                "saturating", out["real_scores"], out["fake_scores"]
            )
            return number(d_loss), np.mean(
                1 / (1 + np.exp(-out["fake_scores"]))
            )

        before = measure()
        compiled(model, 0.1)
        for _ in range(20):
            model.fit(x, batch_size=64, verbose=0)
            for v, old in zip(
                getattr(model, other[player]).trainable_variables,
                kept,
                strict=True,
            ):
                v.assign(old)
        after = measure()
        index = 0 if player == "discriminator" else 1
        assert better * (after[index] - before[index]) > 0.02


# ------------------------------------------------------- hand-made numbers


def test_undecided_discriminator_loses_two_log_two():
    model = make("non_saturating", r1=0.0)
    for v in model.discriminator.trainable_variables:
        v.assign(np.zeros(v.shape))
    compiled(model, 0.0)
    result = model.evaluate(rows(), verbose=0, return_dict=True)
    assert result["discriminator_loss"] == pytest.approx(2 * np.log(2))
    assert result["generator_loss"] == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("game", "d_expected", "g_expected"),
    [
        (
            "non_saturating",
            [np.log(2) * 2, 0.693147 + 2.126928],
            [0.126928, 3.048587],
        ),
        (
            "saturating",
            [np.log(2) * 2, 0.693147 + 2.126928],
            [-2.126928, -0.048587],
        ),
        ("least_squares", [0.5, 0.5 + 2.0], [0.5, 8.0]),
        ("wgan_gp", [0.0, 2.0], [-2.0, 3.0]),
        ("relativistic", [np.log(2), 2.126928], [0.126928, 3.048587]),
    ],
)
def test_player_losses_hand_computed(game, d_expected, g_expected):
    """Scores (0, 0) and (0, 2); G's view 2 and −3."""
    real, fake = ops.array([0.0, 0.0]), ops.array([0.0, 2.0])
    fooled = ops.array([2.0, -3.0])
    d_loss, g_loss = make(game).player_losses(real, fake, fooled)
    np.testing.assert_allclose(ops.convert_to_numpy(d_loss), d_expected, 1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(g_loss), g_expected, 1e-5)


def test_relativistic_loss_depends_on_differences_alone():
    model = make("relativistic")
    scores = [ops.array(s) for s in ([0.3, -1.0], [0.1, 2.0], [0.1, 2.0])]
    first = model.player_losses(*scores)
    second = model.player_losses(*(s + 5.0 for s in scores))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(a), ops.convert_to_numpy(b), rtol=1e-5
        )


# ---------------------------------------------------------------- penalties


def test_gradient_norm_of_linear_critic_is_that_of_its_weights():
    model = make("wgan_gp", critic_widths=())
    weights = np.array([[3.0], [0.0], [4.0]], "float32")
    model.discriminator.set_weights([weights, np.array([7.0], "float32")])
    x = ops.convert_to_tensor(rows())
    found = ops.convert_to_numpy(model.squared_gradient_norm(x))
    np.testing.assert_allclose(found, np.full(8, 25.0), rtol=1e-6)
    penalty = model.penalty(x, ops.zeros((8, 3)), True)
    # 3 (‖w‖ − 1)² = 3 · 16, wherever it is measured
    np.testing.assert_allclose(
        ops.convert_to_numpy(penalty), np.full(8, 48.0), rtol=1e-5
    )
    regularised = make("relativistic", critic_widths=(), r1=0.5, r2=0.2)
    regularised.discriminator.set_weights(model.discriminator.get_weights())
    penalty = regularised.penalty(x, x, True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(penalty), np.full(8, 0.35 * 25.0), rtol=1e-5
    )


def test_gradient_norm_equals_finite_differences():
    model = make("conditional")
    labels = np.arange(8) % 3
    (w1, b1, w2, b2) = (
        w.astype("float64") for w in model.discriminator.get_weights()
    )

    def score(x):
        hidden = x @ w1 + b1
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
        return (hidden @ w2 + b2)[np.arange(8), labels]

    x, step = rows().astype("float64"), 1e-6
    expected = sum(
        ((score(x + step * e) - score(x - step * e)) / (2 * step)) ** 2
        for e in np.eye(3)
    )
    found = model.squared_gradient_norm(
        ops.convert_to_tensor(x.astype("float32")),
        {"labels": ops.convert_to_tensor(labels)},
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4)


def test_gradient_penalty_mixes_each_pair_with_its_own_share():
    model = make("wgan_gp")
    seen = []

    def spy(between, inputs=None, training=False):
        seen.append(ops.convert_to_numpy(between))
        return ops.ones((len(between),))

    model.squared_gradient_norm = spy
    real, fake = rows(64, 1), rows(64, 2)
    model.penalty(*(ops.convert_to_tensor(v) for v in (real, fake)), True)
    shares = (seen[0] - fake) / (real - fake)
    # one share for all entries of a row …
    np.testing.assert_allclose(shares.std(axis=1), 0.0, atol=1e-4)
    # … and another one for each row, uniform in (0, 1)
    assert shares.min() > -1e-4 and shares.max() < 1.0001
    assert len(np.unique(shares[:, 0].round(4))) >= 60
    assert abs(shares.mean() - 0.5) < 0.15


def test_flat_critic_has_finite_penalty_gradient():
    """‖∇D‖ = 0 is where the slope of the square root is infinite."""
    model = make("wgan_gp")
    for v in model.discriminator.trainable_variables:
        v.assign(np.zeros(v.shape))
    for change in one_step(model, rows()).values():
        assert np.isfinite(change).all()


# ------------------------------------------------------------- the contract

IMAGE = (8, 8, 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """A class method, its arguments, and the weights they lead to."""

    name: str
    build: callable
    config: dict
    num_weights: int

    def make(self, **more):
        keras.utils.set_random_seed(0)  # for the cases without a seed
        return self.build(**{**self.config, **more})


CASES = [
    Case(
        "gan",
        GAN.dense,
        {
            "input_shape": (3,),
            "latent_dim": 2,
            "generator_widths": (5, 6),
            "critic_widths": (7,),
            "output": "tanh",
            "loss": "least_squares",
            "r1": 0.5,
            "r2": 0.25,
            "data_range": (-2.0, None),
            "seed": 3,
        },
        num_weights=10,
    ),
    Case(
        "gan_conv",
        GAN.conv,
        {
            "input_shape": IMAGE,
            "latent_dim": 3,
            "generator_widths": (4, 5),
            "critic_widths": (5, 4),
        },
        num_weights=12,
    ),
    Case(
        "conditional",
        ConditionalGAN.conv,
        {
            "input_shape": IMAGE,
            "latent_dim": 3,
            "num_classes": 4,
            "generator_widths": (4,),
            "critic_widths": (5,),
            "loss": "saturating",
            "seed": 1,
        },
        num_weights=8,
    ),
    Case(
        "wgan_gp",
        WGANGP.dense,
        {
            "input_shape": (3,),
            "latent_dim": 2,
            "output": "linear",
            "gradient_penalty": 2.5,
            "critic_widths": (6,),
        },
        num_weights=8,
    ),
    Case(
        "relativistic",
        RelativisticGAN.dense,
        {
            "input_shape": (3,),
            "latent_dim": 2,
            "output": "linear",
            "r1": 0.75,
            "r2": 1.5,
        },
        num_weights=8,
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
CLASSES = (GAN, ConditionalGAN, WGANGP, RelativisticGAN)


def arguments(cls):
    """Names of the constructor's arguments, and their defaults."""
    parameters = inspect.signature(cls).parameters.values()
    return {
        p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD
    }


def case_rows(case, n=12):
    shape = case.config["input_shape"]
    return np.random.default_rng(0).random((n, *shape), "float32")


def case_labels(case, n=12):
    return np.arange(n) % 4 if "num_classes" in case.config else None


def case_sample(model, case, n, seed):
    labels = case_labels(case, n)
    more = {} if labels is None else {"labels": labels}
    return model.sample(n, seed=seed, **more)


def case_scores(model, case, n=12):
    labels = case_labels(case, n)
    more = () if labels is None else (labels,)
    return model.critic_scores(case_rows(case, n), *more)


def case_inputs(case, n=12):
    x, labels = case_rows(case, n), case_labels(case, n)
    return x if labels is None else {"x": x, "labels": labels}


@each_case
def test_gan_config_round_trip(case):
    model = case.make()
    config = contracts.json_form(
        contracts.check_config_round_trip(model).get_config()
    )
    assert set(arguments(type(model))) <= set(config)
    for name in set(arguments(type(model))) & set(case.config):
        assert config[name] == contracts.json_form(case.config[name]), name


def test_gan_cases_change_every_argument():
    changed = set().union(*(case.config for case in CASES))
    for cls in CLASSES:
        assert set(arguments(cls)) - changed == {"generator", "discriminator"}


LOAD_ALL = """
import pathlib, sys, json
import numpy as np
from utils import runtime
keras = runtime._import_keras()
from utils.models import gans  # registers the classes

folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.glob("*.keras")):
    model = keras.saving.load_model(path)
    conditional = isinstance(model, gans.ConditionalGAN)
    labels = {"labels": np.arange(12) % 4} if conditional else {}
    x = np.load(folder / f"{path.stem}_x.npy")
    np.savez(folder / f"{path.stem}.npz",
             score=model.critic_scores(x, **labels),
             sample=model.sample(12, seed=5, **labels))
    (folder / f"{path.stem}.json").write_text(json.dumps(model.get_config()))
"""


def test_gans_trained_saved_loaded_in_new_process(tmp_path, run_python):
    expected, configs = {}, {}
    for case in CASES:
        model, x, labels = case.make(), case_rows(case), case_labels(case)
        compiled(model).fit(x, labels, batch_size=6, verbose=0)
        model.save(tmp_path / f"{case.name}.keras")
        np.save(tmp_path / f"{case.name}_x.npy", x)
        configs[case.name] = contracts.json_form(model.get_config())
        expected[case.name] = {
            "score": case_scores(model, case),
            "sample": case_sample(model, case, 12, seed=5),
        }
    run_python(LOAD_ALL, tmp_path, KERAS_BACKEND=BACKEND)
    for case in CASES:
        found = json.loads((tmp_path / f"{case.name}.json").read_text())
        for name in arguments(type(case.make())):
            if name not in ("generator", "discriminator"):
                assert found[name] == configs[case.name][name], name
        with np.load(tmp_path / f"{case.name}.npz") as loaded:
            contracts.assert_same_outputs(dict(loaded), expected[case.name])


@each_case
def test_gan_loaded_continues_training_where_it_stopped(case, tmp_path):
    x, labels = case_rows(case), case_labels(case)
    model = case.make()
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(x, labels, batch_size=6, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 2
    # Keras does not save the state of seed generators
    loaded.noise.state.assign(*arrays([model.noise.state]))
    for one in (model, loaded):
        one.fit(x, labels, batch_size=6, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@each_case
def test_gan_counts_weights_and_seed_generators(case):
    model = case.make()
    assert len(model.weights) == case.num_weights
    assert len(model.trainable_weights) == case.num_weights
    assert contracts.num_seed_generators(model) == 1


@each_case
def test_gan_predict_evaluate_and_history(case):
    model = compiled(case.make(), steps_per_execution=STEPS)
    x, labels = case_rows(case), case_labels(case)
    history = model.fit(
        x,
        labels,
        batch_size=4,
        epochs=2,
        verbose=0,
        validation_data=x if labels is None else (x, labels),
    ).history
    names = {"loss", *type(model).METRICS}
    assert set(history) == names | {f"val_{name}" for name in names}
    for name, values in history.items():
        assert len(values) == 2 and np.isfinite(values).all(), name
    for name in ("real_accuracy", "fake_accuracy"):
        assert 0 <= min(history[name]) <= max(history[name]) <= 1
    assert history["loss"][0] == pytest.approx(
        history["discriminator_loss"][0] + history["generator_loss"][0],
        abs=1e-4,
    )
    result = model.evaluate(x, labels, verbose=0, return_dict=True)
    assert set(result) == names
    outputs = model.predict(case_inputs(case), batch_size=5, verbose=0)
    assert outputs["samples"].shape == x.shape
    for name in ("real_scores", "fake_scores", "generator_scores"):
        assert outputs[name].shape == (12,)
    # both players see the same number, only the gradients differ
    np.testing.assert_allclose(
        outputs["fake_scores"], outputs["generator_scores"], rtol=1e-5
    )
    np.testing.assert_allclose(
        outputs["real_scores"], case_scores(model, case), rtol=1e-4, atol=1e-6
    )


@each_case
def test_gan_same_seed_same_run(case):
    x, labels = case_rows(case), case_labels(case)
    runs = []
    for _ in range(2):
        model = compiled(case.make(seed=7))
        model.fit(x, labels, batch_size=6, shuffle=False, verbose=0)
        runs.append(case_sample(model, case, 4, seed=1))
    np.testing.assert_allclose(*runs, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras refuses it there")
def test_gan_steps_per_execution_same_steps():
    x = rows(32)
    histories = []
    for steps in (1, 4):
        model = compiled(make("relativistic"), steps_per_execution=steps)
        fit = model.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0)
        histories.append(fit.history)
        assert int(model.optimizer.iterations) == 8
        assert ops.convert_to_numpy(model.noise.state)[1] == 8
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-4)


@pytest.mark.skipif(
    BACKEND == "torch", reason="torch.compile needs a C++ compiler"
)
@each_game
def test_game_trains_jit_compiled(game):
    """Not the same noise: XLA has a generator of its own."""
    x = rows(16)
    model = compiled(make(game), jit_compile=True)
    before = arrays(model.trainable_variables)
    fit = model.fit(x, labels_for(model, 16), batch_size=8, verbose=0)
    assert np.isfinite(list(fit.history.values())).all()
    moved = [
        np.any(old != new)
        for old, new in zip(
            before, arrays(model.trainable_variables), strict=True
        )
    ]
    assert sum(moved) >= len(moved) - 1


@each_case
def test_gan_mixed_precision_keeps_float32_weights_and_losses(case):
    model = case.make(dtype="mixed_bfloat16")
    x, labels = case_rows(case), case_labels(case)
    compiled(model, run_eagerly=EAGERLY)
    history = model.fit(x, labels, batch_size=12, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert {weight.dtype for weight in model.weights} == {"float32"}
    sample = case_sample(model, case, 4, seed=0)
    assert sample.dtype == np.float32


# ---------------------------------------------------------------- the verbs


def test_sample_same_seed_same_rows_and_noise_matters():
    model = make("wgan_gp")
    first, second = model.sample(50, seed=1), model.sample(50, seed=1)
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, model.sample(50, seed=2))
    assert first.std(axis=0).min() > 0.01
    z = np.random.default_rng(1).standard_normal((50, 2), "float32")
    np.testing.assert_array_equal(first, model.generate(z))


def test_conditional_sample_follows_its_labels():
    model = make("conditional")
    z = np.zeros((2, 2), "float32")
    zero, one = model.generate(z, [0, 1])
    assert not np.allclose(zero, one)
    np.testing.assert_array_equal(model.generate(z, [1, 0])[0], one)


def test_conditional_critic_reads_the_column_of_the_label():
    model = make("conditional")
    x = rows(4)
    w1, b1, w2, b2 = model.discriminator.get_weights()
    hidden = x @ w1 + b1
    scores = np.where(hidden > 0, hidden, 0.2 * hidden) @ w2 + b2
    labels = np.array([2, 0, 1, 2])
    np.testing.assert_allclose(
        model.critic_scores(x, labels), scores[np.arange(4), labels], rtol=1e-4
    )


# ------------------------------------------------------------ own networks


def own_networks(shape=(3,), outputs=()):
    generator = networks.generator(2, shape, (4,), output="linear", seed=0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(8, "tanh")(inputs)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Dropout(0.3, seed=1)(hidden)
    scores = keras.layers.Dense(1)(hidden)
    if outputs == ():
        scores = keras.layers.Reshape(())(scores)
    return generator, keras.Model(inputs, scores)


def test_given_networks_train_save_and_load(tmp_path):
    generator, discriminator = own_networks()
    model = GAN(generator, discriminator, r1=0.5)
    assert model.generator is generator
    assert (model.event_shape, model.latent_dim) == ((3,), 2)
    state = arrays(discriminator.non_trainable_variables)
    compiled(model).fit(rows(), batch_size=4, epochs=2, verbose=0)
    moved = [
        not np.array_equal(old, new)
        for old, new in zip(
            state, arrays(discriminator.non_trainable_variables), strict=True
        )
    ]
    assert any(moved)  # batch statistics live on
    model.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(
        loaded.critic_scores(rows()), model.critic_scores(rows()), rtol=1e-5
    )
    np.testing.assert_allclose(
        loaded.sample(5, seed=0), model.sample(5, seed=0), rtol=1e-5
    )


def test_given_networks_whose_shapes_do_not_meet():
    generator, discriminator = own_networks()
    wide = networks.generator(2, (4,), (4,), seed=0)
    with pytest.raises(
        ValueError, match=r"discriminator: .*\(4,\), what the gen.*\(3,\)"
    ):
        GAN(wide, discriminator)
    _, column = own_networks(outputs=(1,))
    with pytest.raises(ValueError, match=r"discriminator: .*\(None, 1\)"):
        GAN(generator, column)
    image = keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"generator: expected noise.*2, 2"):
        GAN(image, discriminator)
    with pytest.raises(ValueError, match="generator: expected a Keras model"):
        GAN(None, discriminator)
    endless = keras.Sequential([keras.Input((2,)), AnyLength()])
    with pytest.raises(ValueError, match="generator: .*known shape"):
        GAN(endless, discriminator)


class AnyLength(keras.layers.Layer):
    """Examples of a length that is not known beforehand."""

    def compute_output_shape(self, input_shape):
        return (input_shape[0], None)

    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("last", ["sigmoid", "softmax", "hard_sigmoid"])
@pytest.mark.parametrize("cls", [GAN, WGANGP, RelativisticGAN])
def test_critic_that_ends_in_probabilities_is_refused(cls, last):
    generator, _ = own_networks()
    critic = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(1, last),
            keras.layers.Reshape(()),
        ]
    )
    with pytest.raises(ValueError, match=f"discriminator: .*in a {last}"):
        cls(generator, critic)


def test_critic_of_images_of_any_size_fits():
    generator = networks.generator(2, (4, 4, 1), seed=0)
    image = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    score = keras.layers.Reshape(())(keras.layers.Dense(1)(pooled))
    model = GAN(generator, keras.Model(image, score))
    assert model.event_shape == (4, 4, 1)
    assert model.critic_scores(model.sample(2, seed=0)).shape == (2,)


# ------------------------------------------------------------- small print


class Spy(keras.layers.Layer):
    """Notes how it was called; the identity."""

    seen = []  # of all spies: Keras would copy a list of their own

    def call(self, inputs, training=None):
        self.seen.append((self.name, training))
        return inputs


def spied(cls, **more):
    seen = Spy.seen
    noise, x = keras.Input((2,)), keras.Input((3,))
    scores = keras.layers.Dense(1)(Spy(name="D")(x))
    model = cls(
        keras.Model(noise, keras.layers.Dense(3)(Spy(name="G")(noise))),
        keras.Model(x, keras.layers.Reshape(())(scores)),
        seed=0,
        **more,
    )
    seen.clear()
    return model, seen


@pytest.mark.parametrize("training", [True, False])
def test_call_hands_training_to_both_players(training):
    model, seen = spied(GAN)
    model.call(ops.convert_to_tensor(rows()), training=training)
    assert sorted(seen) == [("D", training)] * 3 + [("G", training)]
    seen.clear()
    model.call(ops.convert_to_tensor(rows()))
    assert sorted(seen) == [("D", False)] * 3 + [("G", False)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls", [GAN, WGANGP, RelativisticGAN])
def test_penalties_hand_training_to_the_critic(cls, training):
    model, seen = spied(cls, r1=1.0, r2=1.0)
    x = ops.convert_to_tensor(rows())
    outputs = model.call(x)
    seen.clear()
    model.compute_loss(x, y_pred=outputs, training=training)
    assert seen == [("D", training)] * (3 if cls is WGANGP else 2)
    seen.clear()
    model.compute_loss(x, y_pred=outputs)
    assert set(seen) == {("D", True)}
    seen.clear()
    model.squared_gradient_norm(x)
    pure_scores(model.discriminator, x)
    assert seen == [("D", False)] * 2


def test_boundaries_between_real_and_generated():
    real, fake = ops.convert_to_tensor([1.0, 3.0]), ops.convert_to_tensor([7.0])
    assert make("non_saturating").boundary(real, fake) == 0.0
    assert make("saturating").boundary(real, fake) == 0.0
    assert make("least_squares").boundary(real, fake) == 0.5
    for game in ("wgan_gp", "relativistic"):
        assert number(make(game).boundary(real, fake)) == 4.5


def test_metrics_of_a_batch_by_hand():
    for game, boundary in (("non_saturating", 0.0), ("least_squares", 0.5)):
        model = make(game, r1=0.0, r2=0.0)
        scores = {
            # on the boundary a row counts for nobody
            "real_scores": np.array([boundary, 2.0, -1.0, 3.0], "float32"),
            "fake_scores": np.array([boundary, -2.0, -3.0, -1.0], "float32"),
            "generator_scores": np.zeros(4, "float32"),
            "samples": rows(4),
        }
        outputs = {k: ops.convert_to_tensor(v) for k, v in scores.items()}
        total = number(model.compute_loss(rows(4), y_pred=outputs))
        found = {m.name: number(m.result()) for m in model.metrics}
        assert found["real_accuracy"] == pytest.approx(0.5)
        assert found["fake_accuracy"] == pytest.approx(0.75)
        assert total == pytest.approx(
            found["discriminator_loss"] + found["generator_loss"], rel=1e-6
        )


def test_wasserstein_is_the_difference_of_the_mean_scores():
    model = make("wgan_gp")
    real, fake = np.array([5.0, 2.0]), np.array([1.0, -2.0])
    d_loss, g_loss = model.player_losses(
        *map(ops.convert_to_tensor, (real, fake, fake))
    )
    assert number(model.wasserstein_tracker.result()) == pytest.approx(4.0)
    np.testing.assert_allclose(ops.convert_to_numpy(d_loss), fake - real)
    np.testing.assert_allclose(ops.convert_to_numpy(g_loss), -fake)


def test_penalty_of_slope_two_by_hand():
    model = make("wgan_gp", r1=0.7)
    model.squared_gradient_norm = lambda *arguments: ops.full((8,), 4.0)
    x = ops.convert_to_tensor(rows())
    found = ops.convert_to_numpy(model.penalty(x, x, True))
    # λ (2 − 1)² + (γ/2) 2²
    np.testing.assert_allclose(found, 3.0 + 0.35 * 4.0, rtol=1e-5)
    tracked = number(model.gradient_penalty_tracker.result())
    assert tracked == pytest.approx(1.0, rel=1e-5)


def test_losses_of_layers_are_added_in_the_loss_own_precision():
    class Two(CourseModel):
        losses = property(
            lambda self: [ops.convert_to_tensor(v) for v in (0.25, 0.5)]
        )

    total = Two().add_losses(ops.ones((), "float16"))
    assert number(total) == 1.75
    assert keras.backend.standardize_dtype(total.dtype) == "float16"


def test_defaults_of_the_games():
    empty = inspect.Parameter.empty
    players = {"generator": empty, "discriminator": empty}
    rest = {"r1": 0.0, "r2": 0.0, "data_range": None, "seed": None}
    assert arguments(GAN) == {**players, "loss": "non_saturating", **rest}
    assert arguments(ConditionalGAN) == {
        **players,
        "num_classes": empty,
        "loss": "non_saturating",
        **rest,
    }
    assert arguments(WGANGP) == {**players, "gradient_penalty": 10.0, **rest}
    assert arguments(RelativisticGAN) == {
        **players,
        **rest,
        "r1": 0.1,
        "r2": 0.1,
    }
    assert make("conditional").num_classes == 3
    assert make("wgan_gp").gradient_penalty == 3.0
    fixed = inspect.signature(pure_scores).parameters["fixed_weights"]
    assert fixed.default is False


def test_compile_does_not_change_the_name_of_the_game():
    model = make("least_squares")
    model.compile("sgd", loss="mse")
    model.compile("sgd")
    assert model.loss == model.get_config()["loss"] == "least_squares"
    model.fit(rows(), verbose=0)


@each_game
def test_variants_only_add(game):
    cls, _ = GAMES[game]
    own = [c for c in cls.__mro__ if c.__module__.startswith("utils")]
    assert own[-2:] == [GAN, CourseModel] and len(own) <= 3


def test_output_decides_activation_and_range():
    x = rows()
    for output, activation in (
        ("sigmoid", keras.activations.sigmoid),
        ("tanh", keras.activations.tanh),
        ("linear", keras.activations.linear),
    ):
        model = make("saturating", output=output)
        assert model.built is True
        assert model.generator.layers[-1].activation is activation
        assert networks.last_activation(model.generator) == output
        if output == "linear":
            assert model.critic_scores(x).shape == (8,)
            continue
        for sign in (1, -1):
            with pytest.raises(ValueError, match="x: expected values in"):
                model.critic_scores(np.full((2, 3), 1.5 * sign))


def test_range_of_the_data_follows_the_generator_or_the_user():
    def range_of(*layers, **more):
        generator = keras.Sequential([keras.Input((2,)), *layers])
        shape = generator.output_shape[1:]
        return GAN(generator, networks.critic(shape), **more).data_range

    dense, reshape = keras.layers.Dense, keras.layers.Reshape
    assert range_of(dense(4, "sigmoid"), reshape((2, 2))) == (0.0, 1.0)
    assert range_of(dense(4), keras.layers.Activation("tanh")) == (-1.0, 1.0)
    assert range_of(dense(4, "relu")) == (None, None)
    scaled = (dense(4, "sigmoid"), keras.layers.Rescaling(255.0))
    assert range_of(*scaled) == (None, None)
    assert range_of(*scaled, data_range=[0, 255]) == (0.0, 255.0)
    assert range_of(dense(4, "tanh"), data_range=(None, None)) == (None, None)
    for wrong in ((1, 0), (0,), "unit", (0, float("nan")), 1.0):
        with pytest.raises(ValueError, match="data_range"):
            range_of(dense(4), data_range=wrong)


def leaves(model):
    for layer in model.layers:
        yield from leaves(layer) if isinstance(layer, keras.Model) else [layer]


@pytest.mark.parametrize("game", ["non_saturating", "conditional"])
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_players_are_built_alike_by_seed_kind_and_precision(game, network):
    def built(seed, dtype="mixed_bfloat16"):
        return make(
            game, network, input_shape=(8, 8, 1), seed=seed, dtype=dtype
        )

    model, same, other = built(1), built(1), built(2)
    for player in ("generator", "discriminator"):
        first, second, third = (
            getattr(one, player).get_weights() for one in (model, same, other)
        )
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not all(map(np.array_equal, first, third))
        own = list(leaves(getattr(model, player)))
        kinds = {type(layer).__name__ for layer in own}
        assert any("Conv" in kind for kind in kinds) == (network == "conv")
        for layer in own:
            if not isinstance(layer, keras.layers.InputLayer):
                assert layer.dtype_policy.name == "mixed_bfloat16"
    states = [arrays([one.noise.state])[0].tolist() for one in (model, same)]
    assert states[0] == states[1]
    assert model.noise.get_config()["seed"] == 1


def test_conditional_takes_networks_of_two_inputs():
    twin, plain = make("conditional"), make("non_saturating")
    model = given("conditional", twin.generator, twin.discriminator)
    again = ConditionalGAN.from_config(model.get_config())
    assert again.generator is not twin.generator
    assert again.num_classes == 3
    with pytest.raises(
        ValueError, match=r"generator: .*\['labels', 'z'\]; received no dict"
    ):
        given("conditional", plain.generator, twin.discriminator)
    with pytest.raises(
        ValueError, match=r"discriminator: .*; received \['labels', 'z'\]"
    ):
        given("conditional", twin.generator, twin.generator)
    with pytest.raises(ValueError, match="generator: .*one input, z"):
        given("saturating", twin.generator, plain.discriminator)
    assert twin.check_labels([0, 2], 2).dtype == np.int32
    assert model.critic_scores(rows(1), [2]).shape == (1,)


def test_labels_mean_the_same_beside_the_rows_and_in_a_dict():
    x, labels = rows(8), np.arange(8) % 3
    pairs = [(x[i : i + 4], labels[i : i + 4]) for i in (0, 4)]
    ends = []
    for data in ((x, labels), ({"x": x, "labels": labels},), (iter(pairs),)):
        model = compiled(make("conditional"))
        lazy = hasattr(data[0], "__next__")
        size = {"batch_size": 4, "shuffle": False}
        size = {"steps_per_epoch": 2} if lazy else size
        model.fit(*data, verbose=0, **size)
        ends.append(model.get_weights())
    for other in ends[1:]:
        for a, b in zip(ends[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="y: expected none beside a dict"):
        model.fit({"x": x, "labels": labels}, labels)
    with pytest.raises(ValueError, match="x: expected a dict of x and labels"):
        model.predict(x, verbose=0)


def test_sample_decodes_numpys_own_draws():
    model = make("non_saturating")
    z = np.random.default_rng(5).standard_normal((4, 2), "float32")
    np.testing.assert_array_equal(model.sample(4, seed=5), model.generate(z))


def test_validation_split_is_taken_off_before_rows_are_counted():
    model = compiled(make("saturating"), run_eagerly=EAGERLY)
    history = model.fit(
        rows(12), batch_size=4, validation_split=0.5, verbose=0
    ).history
    assert "val_generator_loss" in history
    with pytest.raises(ValueError, match="fewer than 2 rows from 5 rows"):
        model.fit(rows(10), batch_size=4, validation_split=0.5, verbose=0)
    with pytest.raises(ValueError, match="fewer than 2 rows from 33 rows"):
        model.fit(rows(33), verbose=0)  # Keras's 32 rows a batch
    model.fit(rows(2), batch_size=2, validation_data=rows(2), verbose=0)


def test_training_refuses_what_it_would_not_use():
    model = make("wgan_gp")
    with pytest.raises(ValueError, match="compile"):
        model.fit(rows(), verbose=0)
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="WGANGP has its own; .*mse"):
        model.fit(rows(), verbose=0)
    model.compile("sgd")
    with pytest.raises(ValueError, match="sample_weight: .*WGANGP"):
        model.evaluate(rows(), sample_weight=np.ones(8), verbose=0)
    for wrong, name in (
        ((rows()[:, :2],), "validation_data"),
        ((rows(), np.zeros(8, int)), "y"),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            compiled(make("saturating")).fit(
                rows(), validation_data=wrong, verbose=0
            )


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"input_shape": 3}, "input_shape"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"generator_widths": 8}, "generator_widths"),
        ({"critic_widths": (0,)}, r"critic_widths\[0\]"),
        ({"output": "normal"}, "output: expected one of"),
        ({"loss": "hinge"}, "loss: expected one of"),
        ({"r1": -1.0}, "r1"),
        ({"r2": float("nan")}, "r2"),
        ({"r2": -1.0}, "r2"),
        ({"seed": -1}, "seed"),
    ],
)
def test_gan_bad_hyperparameter_named(change, match):
    with pytest.raises(ValueError, match=match):
        GAN.dense(**{**SMALL, **change})


def test_other_games_bad_hyperparameter_named():
    with pytest.raises(ValueError, match="num_classes"):
        ConditionalGAN.dense((3,), 2, 1)
    with pytest.raises(ValueError, match="gradient_penalty"):
        WGANGP.dense((3,), 2, gradient_penalty=-1)
    with pytest.raises(ValueError, match="generator_widths: .*one stage"):
        GAN.conv((8, 8, 1), 2, generator_widths=())
    for cls in (WGANGP, RelativisticGAN):
        with pytest.raises(TypeError, match="loss"):
            cls.dense((3,), 2, loss="saturating")


GOOD = np.random.default_rng(0).random((6, 3), "float32")


@pytest.mark.parametrize(
    ("x", "fit", "match"),
    [
        (GOOD * 255, {}, r"x: expected values in \[0, 1\]"),
        (GOOD - 1, {}, r"x: expected values in \[0, 1\]"),
        (GOOD[:, :2], {}, r"x: expected shape \(n, 3\)"),
        (np.full((6, 3), np.nan), {}, "NaN"),
        (GOOD[:1], {}, "x: expected at least 2 rows; received 1"),
        (GOOD, {"batch_size": 1}, "batch_size: expected an integer ≥ 2"),
        (GOOD, {"batch_size": 5}, "no batch of fewer than 2 rows from 6"),
        (GOOD, {"y": np.zeros(6, int)}, "y: expected none"),
        (GOOD, {"sample_weight": np.ones(6)}, "sample_weight"),
        (GOOD, {"validation_data": 2 * GOOD}, "validation_data"),
    ],
)
def test_gan_bad_data_named_before_any_step(x, fit, match):
    model = GAN.dense((3,), 2, seed=0)
    model.compile("sgd")
    with pytest.raises(ValueError, match=match):
        model.fit(x, verbose=0, **fit)
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "y: expected 6 integer labels; received none"),
        (np.full(6, 3), "y: expected labels from 0 to 2; received 3"),
        (np.full(6, -1), "y: expected labels from 0 to 2; received -1"),
        (np.zeros(6), "y: expected integer labels"),
        (np.zeros(5, int), "y: expected 6 labels"),
        (np.eye(3, dtype=int)[[0] * 6], "y: expected a vector"),
    ],
)
def test_conditional_bad_labels_named_before_any_step(y, match):
    model = ConditionalGAN.dense((3,), 2, 3, seed=0)
    model.compile("sgd")
    with pytest.raises(ValueError, match=match):
        model.fit(GOOD, y, verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_verbs_bad_arguments_named():
    plain, conditional = make("saturating"), make("conditional")
    with pytest.raises(ValueError, match="n: expected an integer"):
        plain.sample(0)
    with pytest.raises(TypeError, match="labels"):
        plain.sample(2, labels=[0, 1])
    with pytest.raises(TypeError, match="labels"):
        conditional.sample(2)
    with pytest.raises(ValueError, match="labels: expected 2 integer labels"):
        conditional.sample(2, labels=None)
    with pytest.raises(ValueError, match="labels: expected labels from 0 to 2"):
        conditional.sample(2, labels=[0, 3])
    with pytest.raises(ValueError, match=r"z: expected shape \(n, 2\)"):
        plain.generate(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 3\)"):
        plain.critic_scores(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="labels: expected 3 labels"):
        conditional.critic_scores(np.zeros((3, 3)), [0, 1])


def test_compile_with_loss_refused():
    model = make("saturating")
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="loss: expected none in compile"):
        model.fit(rows(), verbose=0)
    with pytest.raises(ValueError, match="loss: expected none in compile"):
        model.evaluate(rows(), verbose=0)


def test_no_train_step_is_overridden():
    for cls in CLASSES:
        for ancestor in cls.__mro__:
            if ancestor.__module__.startswith("utils"):
                assert "train_step" not in vars(ancestor)
