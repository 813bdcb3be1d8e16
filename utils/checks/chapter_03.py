"""Checks of chapter 3, generative adversarial networks."""

import functools

import keras
import numpy as np
from keras import ops

from utils import data
from utils.checks._feedback import (
    as_array,
    as_names,
    as_values,
    call,
    correct,
    name_value,
    nearest,
    one_sentence,
    reached,
    slope,
    wrong,
)
from utils.evaluation import generation
from utils.evaluation.judge import Judge
from utils.models.gans import GAN
from utils.nn.backend import weight_gradients


def _close(value, target, tolerance=2e-3):
    return abs(value - target) <= tolerance


# ---------------------------------------------------------------- 3.1

P_DATA, P_G = np.array([0.9, 0.1]), np.array([0.3, 0.7])


@one_sentence
def check_3_1(answer):
    """D*, its value, and both slopes at a row that D* doubts."""
    numbers = as_array(answer, "Your answer")
    if numbers.shape != (5,):
        wrong(
            "Give a list of five numbers: D*(A), D*(B), V(D*, G), and the "
            f"slopes of the two losses; received shape {numbers.shape}."
        )
    d_a, d_b, value, saturating, non_saturating = (float(n) for n in numbers)
    d_star = P_DATA / (P_DATA + P_G)
    for kind, given, best, p, q in zip(
        "AB", (d_a, d_b), d_star, P_DATA, P_G, strict=True
    ):
        if _close(given, best):
            continue
        if _close(given, best, 0.01):
            wrong(
                f"D*({kind}) = {given:g} is near, but too coarse: give three "
                f"decimals, or a fraction such as 1 / 3."
            )
        if _close(given, 1 - best):
            wrong(
                f"D*({kind}) = {given:g} is the share of *generated* rows. D "
                "gives the probability of 'real': p_data stands on top."
            )
        if _close(given, p) or _close(given, q):
            wrong(
                f"D*({kind}) = {given:g} is the frequency of {kind} in one "
                "of the two sources. D is asked the other way round: given "
                f"{kind}, from which source?"
            )
        if _close(given, 0.5):
            wrong(
                "½ is the answer where both sources are equally frequent; "
                f"at {kind} they are not."
            )
        if given in (0.0, 1.0):
            wrong(
                "D answers with a probability in (0, 1), not with a label: "
                f"{kind} comes from both sources, so no answer is certain."
            )
        wrong(
            f"D*({kind}) is not {given:g}. Maximise p log D + q log(1 − D) "
            f"for p = {p:g}, q = {q:g}: set its slope to zero."
        )
    right = float(np.sum(P_DATA * np.log(d_star) + P_G * np.log(1 - d_star)))
    if not _close(value, right):
        if _close(value, right, 0.01):
            wrong(
                f"V(D*, G) = {value:g} is near, but too coarse: give three "
                "decimals, or the sum itself."
            )
        named = {
            -right: "That is −V, the loss that D *minimises*. V itself is a "
            "mean of logarithms of probabilities: negative.",
            right / np.log(2): "That is in bits. Logarithms are natural here.",
            right + np.log(4): "That is 2 JS. V is smaller by log 4.",
            (right + np.log(4)) / 2: "That is JS itself; V = −log 4 + 2 JS.",
            -np.log(4): "−log 4 is the value where p_g equals p_data. Here a "
            "discriminator can do better than to say ½.",
            float(np.sum(P_DATA * np.log(d_star))): "The generated rows are "
            "missing: V has two sums, and D is judged on fakes as well.",
        }
        for mistaken, feedback in named.items():
            if _close(value, mistaken):
                wrong(feedback)
        wrong(
            f"V(D*, G) is not {value:g}. Sum p_data log D* + p_g log(1 − D*) "
            "over A and B, four terms in all."
        )
    _check_slopes(saturating, non_saturating, float(d_star[1]))
    correct("3.1", "At which D(x̃) are the two slopes equal?")


def _check_slopes(saturating, non_saturating, d):
    """The slopes of both generator losses by the logit, at D = d."""
    if _close(saturating, -d) and _close(non_saturating, d - 1):
        return
    if _close(saturating, d - 1) and _close(non_saturating, -d):
        wrong(
            "You exchanged the two. The saturating loss log(1 − D) is the "
            "one that is silent where D is sure of a fake: slope −D."
        )
    if _close(saturating, d) or _close(non_saturating, 1 - d):
        wrong(
            "The sign is turned. Both losses fall when the logit rises. A "
            "slope of +D belongs to −log(1 − D): label 0 in the generator's "
            "step, which asks G to be caught."
        )
    if _close(saturating, -1 / (1 - d)) or _close(non_saturating, -1 / d, 0.02):
        wrong(
            "These are slopes by D, not by the logit. Multiply by "
            "dD/ds = D (1 − D): that factor is what vanishes."
        )
    if _close(saturating, -d):
        wrong(
            f"The first slope is right; that of −log D is not "
            f"{non_saturating:g}. Write −log σ(s) as softplus(−s)."
        )
    wrong(
        f"The slope of log(1 − D) by the logit is not {saturating:g}. Write "
        "it as −softplus(s), whose derivative is −σ(s) = −D."
    )


# ---------------------------------------------------------------- 3.2


def _toy_generator(z, theta):
    return ops.tanh(ops.matmul(z, theta))


def _toy_discriminator(x, psi):
    hidden = ops.tanh(ops.matmul(x, psi))
    return 2.0 * ops.sum(hidden, axis=1, keepdims=True) + 0.7  # (n, 1)


@one_sentence
def check_3_2(answer):
    """Both losses from logits, each with its own player's gradient."""
    rng = np.random.default_rng(3)
    theta, psi, x, z, z_other = (
        ops.convert_to_tensor(rng.normal(0, 1, shape).astype("float32"))
        for shape in ((2, 3), (3, 4), (6, 3), (6, 2), (6, 2))
    )
    softplus = ops.softplus

    def run(theta=theta, psi=psi, z=z):
        return call(
            answer, _toy_generator, _toy_discriminator, theta, psi, x, z
        )

    pair = run()
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        wrong("Return two losses, (d_loss, g_loss).")
    values = []
    for name, loss in zip(("d_loss", "g_loss"), pair, strict=True):
        value = as_values(loss, name)
        if value.size != 1:
            wrong(
                f"{name} has shape {value.shape}; a batch has one loss. The "
                "logits have shape (n, 1): a mean over the last axis leaves "
                "them as they are. Average over all entries."
            )
        values.append(float(value.reshape(())))

    real = _toy_discriminator(x, psi)
    made = _toy_generator(z, theta)
    fake = _toy_discriminator(made, psi)

    def mean(values):
        return float(ops.convert_to_numpy(ops.mean(values)))

    right_d = mean(softplus(-real)) + mean(softplus(fake))
    if not np.isclose(values[0], right_d, rtol=1e-4):
        other = float(as_values(run(z=z_other)[0], "d_loss").reshape(()))
        if np.isclose(values[0], other, rtol=1e-6):
            wrong(
                "Other noise, same d_loss: your discriminator never sees a "
                "generated row. It will learn to say 'real' to everything. "
                "Real rows with label 1 *and* generated rows with label 0."
            )
        named = {
            mean(softplus(fake)): "The real rows are missing from d_loss.",
            mean(softplus(real)) + mean(softplus(-fake)): "The labels are "
            "exchanged in d_loss: it rewards D for calling fakes real.",
            mean(softplus(-real)) + mean(softplus(-fake)): "d_loss gives "
            "generated rows the label 1. That belongs to the generator's "
            "step; in D's own step they have label 0.",
            -right_d: "The sign of d_loss is turned. (1) is a value that D "
            "maximises; an optimiser minimises, so L_D = −V.",
            right_d / 2: "There is a factor ½: the mean of the two terms "
            "instead of their sum. Equation (2) adds them, so that an "
            "undecided D has 2 log 2.",
            right_d * 6: "You summed over the batch; take the mean.",
            mean(softplus(-ops.sigmoid(real)))
            + mean(softplus(ops.sigmoid(fake))): "A sigmoid too many: these "
            "are logits of logits. Give softplus the logits themselves, or "
            "say `from_logits=False` for probabilities.",
        }
        name_value(values[0], named.items())
        wrong(f"On a test batch d_loss is {right_d:.4f}, not {values[0]:.4f}.")
    right_g = mean(softplus(-fake))
    if not np.isclose(values[1], right_g, rtol=1e-4):
        named = {
            mean(softplus(fake)): "g_loss gives generated rows the label 0: "
            "it asks G to be *recognised*. In the generator's step the "
            "label is 1.",
            -mean(softplus(fake)): "g_loss is the saturating log(1 − D): "
            "right direction, but almost no slope while D is sure. Use "
            "−log D, that is softplus(−logit).",
            -right_g: "The sign of g_loss is turned: it would make G's rows "
            "look less real.",
            right_g * 6: "You summed g_loss over the batch; take the mean.",
            mean(softplus(-real)): "g_loss scores the real rows, on which G "
            "has no influence.",
            mean(ops.square(made - x)): "g_loss compares generated with real "
            "rows directly: a loss of G's own, without D. Noise has no "
            "target, and the best such G is the mean of the data.",
            mean(softplus(-ops.sigmoid(fake))): "A sigmoid too many in "
            "g_loss: softplus takes the logit itself.",
        }
        name_value(values[1], named.items())
        wrong(f"On a test batch g_loss is {right_g:.4f}, not {values[1]:.4f}.")

    d_loss = [lambda t: run(theta=t)[0], lambda p: run(psi=p)[0]]
    g_loss = [lambda t: run(theta=t)[1], lambda p: run(psi=p)[1]]
    reached("values")
    own_d = slope(d_loss[1], psi, "The losses")
    own_g = slope(g_loss[0], theta, "The losses")
    if not np.any(own_d):
        wrong(
            "d_loss does not reach D's weights ψ: you cut them in D's *own* "
            "loss (or left `keras.ops`). D is frozen and never learns."
        )
    if not np.any(own_g):
        wrong(
            "g_loss does not reach G's weights θ: the generated rows are cut "
            "in G's *own* loss (or you left `keras.ops`). G never moves. The "
            "gradient has to come through D to the rows."
        )
    right = slope(
        lambda p: (
            ops.mean(softplus(-_toy_discriminator(x, p)))
            + ops.mean(softplus(_toy_discriminator(made, p)))
        ),
        psi,
    )
    if not np.allclose(own_d, right, rtol=1e-3, atol=1e-5):
        wrong(
            "d_loss has the right value but not the right slope by ψ: one of "
            "its two terms is cut from D's weights. Cut the generated rows, "
            "not their scores."
        )
    right = slope(
        lambda t: ops.mean(
            softplus(-_toy_discriminator(_toy_generator(z, t), psi))
        ),
        theta,
    )
    if not np.allclose(own_g, right, rtol=1e-3, atol=1e-5):
        wrong("g_loss has the right value but not the right slope by θ.")
    if np.any(slope(d_loss[0], theta)):
        wrong(
            "d_loss reaches G's weights θ: in one backward pass it would "
            "teach G to be caught, against g_loss. Put `ops.stop_gradient` "
            "around the generated rows in d_loss."
        )
    if np.any(slope(g_loss[1], psi)):
        wrong(
            "g_loss reaches D's weights ψ: in one backward pass it would "
            "teach D to accept fakes, against d_loss. Score the rows for G "
            "with `ops.stop_gradient(psi)`."
        )
    correct(
        "3.2",
        "What would the summed loss of the *saturating* game do without cuts?",
    )


# ---------------------------------------------------------------- 3.3


def _small_players():
    """A generator and a discriminator of rows of three numbers."""
    generator = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(4, "tanh"),
            keras.layers.Dense(3),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh"),
            keras.layers.Dense(1),
            keras.layers.Reshape(()),
        ]
    )
    rng = np.random.default_rng(5)
    for network in (generator, discriminator):
        network.set_weights(
            [rng.normal(0, 0.8, w.shape) for w in network.get_weights()]
        )
    return generator, discriminator


def _expected_step(x, z_d, z_g, rates, changed):
    """Weights of both players after one step, one thing changed."""
    rate_d, rate_g = rates[::-1] if changed == "rates" else rates
    generator, discriminator = _small_players()
    softplus, mean = ops.softplus, ops.mean
    g_weights = generator.trainable_variables
    d_weights = discriminator.trainable_variables
    made = generator(z_d)

    def d_loss():
        real = mean(softplus(-discriminator(x)))
        fake = mean(softplus(discriminator(made)))
        return {
            "no fakes": real,
            "no real": fake,
            "exchanged": mean(softplus(discriminator(x)))
            + mean(softplus(-discriminator(made))),
            "half": (real + fake) / 2,
        }.get(changed, real + fake)

    noise = {"same noise": z_d, "together, same noise": z_d}.get(changed, z_g)

    def g_loss():
        fake = discriminator(generator(noise))
        return {
            "label 0": mean(softplus(fake)),
            "saturating": -mean(softplus(fake)),
        }.get(changed, mean(softplus(-fake)))

    def apply(slopes, weights, rate):
        for weight, found in zip(weights, slopes, strict=True):
            weight.assign_sub(rate * found)

    if changed == "G first":
        apply(weight_gradients(g_loss, g_weights), g_weights, rate_g)
        made = generator(z_d)
        apply(weight_gradients(d_loss, d_weights), d_weights, rate_d)
    elif changed in ("together", "together, same noise"):
        of_g = weight_gradients(g_loss, g_weights)
        apply(weight_gradients(d_loss, d_weights), d_weights, rate_d)
        apply(of_g, g_weights, rate_g)
    else:
        apply(weight_gradients(d_loss, d_weights), d_weights, rate_d)
        if changed == "D moves too":
            of_d = weight_gradients(g_loss, d_weights)
            apply(weight_gradients(g_loss, g_weights), g_weights, rate_g)
            apply(of_d, d_weights, rate_g)
        else:
            apply(weight_gradients(g_loss, g_weights), g_weights, rate_g)
    return _flat(discriminator), _flat(generator)


def _flat(network):
    return np.concatenate([w.ravel() for w in network.get_weights()])


# what a step does with one thing changed, and how to say it
_STEPS = {
    "no fakes": "D never sees a generated row in your step: its loss needs "
    "the rows made of z_d, with label 0.",
    "no real": "D never sees the real rows x in your step.",
    "rates": "The optimisers are exchanged: d_optimizer moves D, g_optimizer "
    "moves G.",
    "exchanged": "The labels are exchanged in D's loss: it learns to call "
    "fakes real.",
    "half": "D's loss is the mean of its two terms; equation (2) adds them.",
    "label 0": "G is trained with label 0: it learns to be *caught*. Its loss "
    "is softplus(−score), label 1.",
    "saturating": "G descends the saturating loss log(1 − D). The exercise "
    "asks for (5), −log D.",
    "same noise": "G moved on z_d, the noise that D has just been trained on. "
    "Its step takes the fresh z_g.",
    "G first": "G moved before D. The exercise asks for D first, then G "
    "against the D that has just moved.",
    "together": "Both moved at the same time: G's slope comes from the *old* "
    "D. Let D move first, then compute G's loss anew.",
    "together, same noise": "Both moved at the same time and on the same "
    "noise. Let D move first, then G on the fresh z_g.",
    "D moves too": "G's step moves D as well, towards accepting fakes. Apply "
    "its gradient to the generator's weights alone.",
}


@one_sentence
def check_3_3(answer):
    """One step of D, then one of G, with two optimisers."""
    rng = np.random.default_rng(6)
    x, z_d, z_g = (
        ops.convert_to_tensor(rng.normal(0, 1, shape).astype("float32"))
        for shape in ((8, 3), (8, 2), (8, 2))
    )
    rates = 0.5, 0.3  # of D and of G
    generator, discriminator = _small_players()
    before = _flat(discriminator), _flat(generator)
    optimizers = [keras.optimizers.SGD(rate) for rate in rates]
    call(answer, generator, discriminator, *optimizers, x, z_d, z_g)
    after = _flat(discriminator), _flat(generator)
    if not np.isfinite(np.concatenate(after)).all():
        wrong("After your step some weights are NaN or infinite.")

    def same(found, expected):
        return all(
            np.allclose(a, b, rtol=1e-3, atol=1e-5)
            for a, b in zip(found, expected, strict=True)
        )

    right = _expected_step(x, z_d, z_g, rates, None)
    if same(after, right):
        correct("3.3", "How often would you let D move for each step of G?")
        return
    moved = [not np.allclose(a, b) for a, b in zip(before, after, strict=True)]
    if not any(moved):
        wrong(
            "Neither network has moved. Compute gradients and give them to "
            "the optimisers: `optimizer.apply(gradients, variables)`."
        )
    if not moved[0]:
        wrong(
            "D has not moved: its optimiser got no gradients of D's loss. (A "
            "cross-entropy of scores needs `from_logits=True`.)"
        )
    if not moved[1]:
        wrong(
            "G has not moved. Is z_g turned into rows *inside* the loss that "
            "is differentiated? The gradient comes through D to G's weights."
        )
    for changed, feedback in _STEPS.items():
        if same(after, _expected_step(x, z_d, z_g, rates, changed)):
            wrong(feedback)
    if not same(after[:1], right[:1]):
        wrong(
            "D's weights are not where one step on L_D of (2) puts them: "
            "means over the batch, real rows and rows made of z_d, one step."
        )
    wrong(
        "D's step is right, G's is not: one step on −log D(G(z_g)), mean over "
        "the batch, against the D that has just moved."
    )


# ---------------------------------------------------------------- 3.4


def _momentum(model):
    """β₁ of Adam, momentum of SGD; ``None`` if there is no optimiser."""
    optimizer = getattr(model, "optimizer", None)
    for name in ("beta_1", "momentum"):
        if hasattr(optimizer, name):
            return float(getattr(optimizer, name))
    return None


def _pairs(model):
    """Whether only *differences* of scores count in a model's losses."""
    rng = np.random.default_rng(0)
    real, fake = (
        ops.convert_to_tensor(rng.normal(0, 1, 6).astype("float32"))
        for _ in range(2)
    )
    losses = [
        np.concatenate(
            [
                np.ravel(ops.convert_to_numpy(loss))
                for loss in model.player_losses(real + c, fake + c, fake + c)
            ]
        )
        for c in (0.0, 1.5)
    ]
    return np.allclose(*losses, atol=1e-4)


def _ring_settings(name, model):
    """Refuse what is not a trained game of the ring; β₁ and steps."""
    if not isinstance(model, GAN) or tuple(model.event_shape) != (2,):
        wrong(
            f"`{name}` should be a trained model of the ring, a GAN of rows "
            f"of shape (2,); received {type(model).__name__}."
        )
    if _momentum(model) is None:
        wrong(f"`{name}` has no optimiser: compile and fit it.")
    steps = int(ops.convert_to_numpy(model.optimizer.iterations))
    if steps < 1000:
        wrong(
            f"`{name}` has made {steps} steps. Fit it for 1 500 or more, "
            "else nothing can be said of it."
        )
    if model.r1 or model.r2:
        wrong(
            f"`{name}` penalises slopes, r1 = {model.r1:g}, r2 = "
            f"{model.r2:g}: one more thing that differs. Set both to 0."
        )


@one_sentence
def check_3_4(paired, calm, rescued):
    """One change at a time, counted, and a conclusion that fits."""
    for name, model in (("paired", paired), ("calm", calm)):
        _ring_settings(name, model)
    if not _pairs(paired):
        wrong("`paired` should score rows in pairs: a RelativisticGAN.")
    if _pairs(calm):
        wrong(
            "`calm` scores rows in pairs as well: two changes at once, and "
            "no way to tell which one cured. Use the plain GAN."
        )
    if not _close(_momentum(paired), 0.9, 0.05):
        wrong(
            f"`paired` runs with β₁ = {_momentum(paired):g}: two changes at "
            "once. Leave it at Adam's default, 0.9."
        )
    if _momentum(calm) > 0.0:
        wrong(f"`calm` still has momentum, β₁ = {_momentum(calm):g}.")
    angles = 2 * np.pi * np.arange(8) / 8
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = {
        name: generation.modes_covered(model.sample(2000, seed=1), centres, 0.1)
        for name, model in (("paired", paired), ("calm", calm))
    }
    told = ", ".join(
        f"{name}: {f.modes} of 8 modes, {f.share_within:.0%} within 3 σ"
        for name, f in found.items()
    )
    good = {n for n, f in found.items() if f.modes == 8 and f[1] >= 0.8}
    if "calm" not in good:
        wrong(
            f"Counted: {told}. The calm run can do better than that: 8 modes "
            "and 80 %. Train for 1 500 steps or more, with a learning rate "
            "that falls to zero. A run that was already so and still fell "
            "over was unlucky: a game without a penalty has no guarantee. "
            "Start again after keras.utils.set_random_seed(…)."
        )
    claimed = as_names(rescued, "rescued", ("paired", "calm"))
    if claimed != good:
        wrong(
            f"Counted: {told}. By the rule (8 modes, at least 80 % within 3 σ) "
            f"the rescued ones are {sorted(good)}, not {sorted(claimed)}. "
            "Few lost modes are not yet a good fit: look at both numbers."
        )
    correct(
        "3.4",
        f"{told}. One seed is an anecdote: would you bet on the next?",
    )


# ---------------------------------------------------------------- 3.5


def _built(answer, latent_dim, shape):
    """The learner's generator; Keras's own errors explained."""
    try:
        model = call(answer, latent_dim, shape)
    except AssertionError as error:
        if "interpret activation" in str(error):
            wrong(
                "Keras knows no such activation. An activation is a fixed "
                "function of its input; noise is not one. Noise comes in "
                "from outside: it is the *input* of the generator."
            )
        raise
    if model is None:
        wrong("Your function returns None: did you forget the `return`?")
    if not callable(model):
        wrong(f"Return a Keras model; received {type(model).__name__}.")
    return model


def _images(model, z, shape):
    """What a generator makes of noise, its shape checked."""
    try:
        x = ops.convert_to_numpy(model(ops.convert_to_tensor(z)))
    except Exception as error:  # whatever Keras says of a wrong input
        wrong(
            f"Your generator does not take noise of shape {z.shape}. Its "
            f"input is z of width latent_dim = {z.shape[1]}, not an example. "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        )
    if x.shape[1:] != shape:
        if np.prod(x.shape[1:]) == z.shape[1]:
            wrong(
                f"The output has the width of the *noise*, {x.shape[1:]}. A "
                f"generated row has the shape of the data, {shape}: it goes "
                "into D beside real rows."
            )
        wrong(
            f"Your generator makes rows of shape {x.shape[1:]} where the data "
            f"have {shape}. Let the last layers follow `shape`."
        )
    return as_array(x, "A generated batch", (len(z), *shape))


@one_sentence
def check_3_5(answer):
    """A generator: noise in, an example out, in the range of the data."""
    rng = np.random.default_rng(0)
    for latent_dim, shape in ((5, (4, 4, 1)), (3, (30,))):
        model = _built(answer, latent_dim, shape)
        z = rng.standard_normal((40, latent_dim)).astype("float32")
        x = _images(model, z, shape)
        reached("shape")
        if not np.allclose(x, _images(model, z, shape), atol=1e-6):
            wrong(
                "The same noise gave two different outputs: there is noise "
                "*inside* the generator, in an activation or a layer. Then "
                "z does not decide what is drawn. G is a function; all its "
                "chance comes in through z."
            )
        if x.std(axis=0).max() < 1e-6:
            wrong("All noise vectors give the same output: z is ignored.")
        few = _images(model, z[::-1][:7], shape)
        if not np.allclose(x[::-1][:7], few, atol=1e-2):
            wrong(
                "The same z gives another output in another batch: noise of a "
                "fixed seed inside, or a batch normalisation that is left in "
                "training mode."
            )
        wide = _images(model, 30 * z, shape)
        if -1.001 <= wide.min() < -0.5 and wide.max() <= 1.001:
            wrong(
                "Your outputs lie in (−1, 1), as of a tanh; these data lie in "
                "[0, 1]. Rescale the output, or end in a sigmoid."
            )
        if wide.min() < -1e-6 or wide.max() > 1 + 1e-6:
            wrong(
                f"Outputs from {wide.min():.1f} to {wide.max():.1f} leave the "
                "data's range [0, 1]: one look at the brightness is enough "
                "for D. End in a sigmoid."
            )
        _refuse_noise_inside(model, z)
        _refuse_one_layer(model, z[:20], z[20:], shape)
    correct(
        "3.5", "Which two arguments make `networks.generator` build the same?"
    )


def _refuse_noise_inside(model, z):
    """Name layers that add noise while training, and only then."""
    if not isinstance(model, keras.layers.Layer):
        return  # a plain function has no such mode
    z = ops.convert_to_tensor(z)
    one, other = (
        ops.convert_to_numpy(model(z, training=True)) for _ in range(2)
    )
    if not np.allclose(one, other, atol=1e-6):
        wrong(
            "While training, the same noise gives two different outputs: a "
            "layer inside, such as GaussianNoise or Dropout, adds noise of "
            "its own. All chance comes in through z."
        )


def _refuse_one_layer(model, a, b, shape):
    """Name a generator without hidden activation: a linear map at heart."""
    rows = [
        _images(model, z, shape).reshape(len(a), -1)
        for z in (a, b, (a + b) / 2)
    ]
    # an output that reaches its bounds tells nothing of what is below
    inside = np.all([(r > 1e-6) & (r < 1 - 1e-6) for r in rows], axis=0)
    if inside.mean() < 0.2:
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        maps = (
            lambda r: r,  # a clipped line
            lambda r: np.log(r / (1 - r)),  # a sigmoid, or a tanh rescaled
            lambda r: np.log(r) - np.log(r[:, :1]),  # a softmax
        )
        for undo in maps:
            first, second, middle = map(undo, rows)
            gaps = np.abs(middle - (first + second) / 2)[inside]
            size = max(1.0, np.nanmax(np.abs(first)))
            change = np.nanmax(np.abs(first - second)[inside])
            # deep networks of small weights hardly move, and yet bend
            if np.nanmax(gaps) < min(1e-4 * size, 0.05 * change):
                wrong(
                    "Before its last activation your generator is a *linear* "
                    "map of z: it can draw a Gaussian and no more. Add a "
                    "hidden layer with an activation, such as a ReLU."
                )


# ---------------------------------------------------------------- 3.6


def _drawn(answer, n):
    """Samples of a model with ``sample`` or of a plain function."""
    if not hasattr(answer, "sample"):
        return call(answer, n)
    if getattr(answer, "num_classes", None):
        labels = np.arange(n) % answer.num_classes
        return call(lambda: answer.sample(n, labels=labels))
    return call(answer.sample, n)


@one_sentence
def check_3_6(answer):
    """Samples that vary as digits do and look like digits."""
    if not callable(answer) and not hasattr(answer, "sample"):
        wrong(
            "Pass the trained model (anything with `sample`), or a function "
            "that takes n and returns n generated images."
        )
    digits = data.load("digits")
    flat = digits.flat()
    n = 500
    x = _drawn(answer, n)
    x = as_array(getattr(x, "numpy", lambda: x)(), "The samples")
    if x.shape not in ((n, 8, 8, 1), (n, 8, 8), (n, 64)):
        wrong(
            f"{n} samples of digits have shape ({n}, 8, 8, 1); yours have "
            f"{x.shape}. (A loss, such as `train_on_batch` returns, is no "
            "image.)"
        )
    x = x.reshape(n, 64)
    reached("shape")
    if x.min() < -1e-6 or x.max() > 1 + 1e-6:
        wrong(
            f"Your samples run from {x.min():.2f} to {x.max():.2f}, the data "
            "from 0 to 1."
        )
    spread = generation.sample_spread(x)
    gap = np.abs(x.mean(axis=0) - flat.x_train.mean(axis=0)).mean()
    index, distance = nearest(x, flat.x_train.astype("float64"))
    _, unseen = nearest(flat.x_test.astype("float64"), flat.x_train)
    ratio = distance.mean() / unseen.mean()
    if np.mean(distance < 1e-3) > 0.02:
        wrong("Some samples are copies of training rows; generate new ones.")
    if ratio < 0.75:
        wrong(
            f"The samples lie only {ratio:.2f} times as far from training "
            "rows as unseen digits do: training rows with a little noise on "
            "them are copies."
        )
    if spread < 0.1 and gap < 0.06:
        wrong(
            f"Every sample is the *mean image*: spread {spread:.3f}, data "
            "0.23. Your generator was trained by a loss of its own: it "
            "regressed images on noise. Noise has no target; G learns "
            "through D alone."
        )
    if spread < 0.1:
        wrong(
            f"All samples are alike (spread {spread:.3f}, data 0.23) and "
            "unlike the data. Either D does not learn, so that one picture "
            f"fools it for ever{_frozen(answer)}; or label 0 in G's step "
            "drives G to be caught; or the game has collapsed: try Adam with "
            "beta_1 = 0 and a penalty."
        )
    if ratio > 2.0:
        wrong(
            f"The samples vary (spread {spread:.3f}) but lie {ratio:.1f} times "
            "as far from real digits as unseen digits do: that is what an "
            f"untrained generator gives. Is G frozen{_frozen(answer)}? Does D "
            "see generated rows, or only real ones? Or is training too short?"
        )
    drawn, real = _orderly(x, flat.y_train[index]), _orderly()
    if drawn < 0.75 * real:
        wrong(
            f"What varies within a class is noise on single pixels: {drawn:.0%}"
            f" of it lies along the directions in which digits vary, of the "
            f"data's {real:.0%}. That is a mean with noise on top, or pixels "
            "drawn independently; in a digit they move together."
        )
    shares = np.bincount(flat.y_train[index], minlength=10) / n
    missing = np.flatnonzero(shares < 0.01)
    if spread < 0.15 or len(missing) > 1:
        wrong(
            f"Spread {spread:.3f} (data 0.23), and {10 - len(missing)} of 10 "
            "digits occur: the game has partly collapsed. Try pairs "
            "(RelativisticGAN), a penalty, or Adam with beta_1 = 0."
        )
    distance = _judged(x)
    if distance > 30.0:
        wrong(
            f"The Fréchet distance to real digits is {distance:.0f}, in the "
            "features of a classifier; ten minutes of the chapter get below "
            "10. Train longer, or look at what the samples show."
        )
    correct(
        "3.6",
        f"Spread {spread:.3f}, the data have 0.23. Look at twenty samples: "
        "which digits come out worst?",
    )


def _orderly(x=None, labels=None):
    """Share of the variance within classes along the digits' 16 directions."""
    flat = data.load("digits").flat()
    if x is None:
        x, labels = flat.x_test.astype("float64"), flat.y_test
    within = _within(flat.x_train.astype("float64"), flat.y_train)
    _, _, directions = np.linalg.svd(within, full_matrices=False)
    rest = _within(x, labels)
    return float(np.sum((rest @ directions[:16].T) ** 2) / np.sum(rest**2))


def _within(x, labels):
    """Rows minus the mean of their class."""
    means = {c: x[labels == c].mean(axis=0) for c in np.unique(labels)}
    return x - np.stack([means[c] for c in labels])


@functools.cache
def _judge():
    """A classifier of the digits and what it makes of the test rows."""
    digits = data.load("digits")
    judge = Judge.trained_on(digits.x_train, digits.y_train)
    return judge, judge.features(digits.x_test)


def _judged(x):
    """Fréchet distance to unseen digits in the classifier's features."""
    judge, reference = _judge()
    features = judge.features(x.reshape(-1, 8, 8, 1).astype("float32"))
    return generation.frechet_distance(reference, features)


def _frozen(model):
    """A hint, if one of the two networks is frozen at this moment."""
    for name in ("generator", "discriminator"):
        network = getattr(model, name, None)
        if network is not None and not network.trainable_variables:
            return f" (the {name} has `trainable = False` right now)"
    return ""


# ---------------------------------------------------------------- 3.7


@one_sentence
def check_3_7(answer):
    """(‖∇D‖ − 1)² at interpolates, one α and one value a row."""
    n, shape = 400, (2, 3, 2)
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(shape).astype("float32")
    direction /= np.linalg.norm(direction)
    seed = keras.random.SeedGenerator(0)
    x, samples = (
        ops.convert_to_tensor(rng.standard_normal((n, *shape), "float32"))
        for _ in range(2)
    )

    def slanted(slope):  # a plane: the same gradient everywhere
        slope = ops.convert_to_tensor(slope)
        return lambda rows: ops.sum(rows * slope, axis=(1, 2, 3))

    def penalties(critic, x=x, samples=samples):
        result = call(answer, critic, x, samples, seed)
        result = as_values(result, "The penalty")
        if result.shape == (n, 1):
            result = result[:, 0]
        if result.shape not in ((n,), ()):
            wrong(
                f"The penalty should have one value a row, shape ({n},), not "
                f"{result.shape}. Sum the squared slopes over all axes of an "
                "example: every axis but the first."
            )
        return result

    found = penalties(slanted(3.0 * direction))
    named = {
        9.0: "That is ‖∇D‖², which is smallest at slope 0. The penalty wants "
        "slope *one*: (‖∇D‖ − 1)².",
        3.0: "That is the norm itself; the penalty is (‖∇D‖ − 1)².",
        2.0: "The square is missing: (‖∇D‖ − 1)².",
        64.0: "The root is missing: you took (‖∇D‖² − 1)².",
        40.0: "The weight λ = 10 belongs to the caller.",
        (3.0 / n - 1) ** 2: "You differentiated the *mean* of the scores: "
        "every row's gradient is divided by n. Differentiate the sum.",
        (3.0 * n**0.5 - 1) ** 2: "The norm runs over the whole batch. Each "
        "row has a norm of its own: leave the first axis out of the sum.",
    }
    reached("shape")
    for mistaken, feedback in named.items():
        if np.allclose(found, mistaken, rtol=1e-3):
            wrong(feedback)
    if not np.allclose(found, 4.0, rtol=1e-3):
        wrong(
            "A critic that is a plane of slope 3 has the penalty (3 − 1)² = 4 "
            f"at every row, wherever one looks; yours is {found.mean():.3g}."
        )
    if found.shape == ():
        wrong(
            "The values are right, but averaged. Return one value a row; the "
            "caller takes the mean."
        )
    if not np.allclose(penalties(slanted(0.5 * direction)), 0.25, rtol=1e-3):
        wrong(
            "A plane of slope ½ costs (½ − 1)² = 0.25. Yours differs: this "
            "penalty is two-sided, slopes below one cost as well."
        )
    reached("values")
    _check_places(penalties, direction, n)

    def by_weights(weights):
        return ops.mean(call(answer, slanted(weights), x, samples, seed))

    gradient = slope(by_weights, ops.convert_to_tensor(3.0 * direction))
    if not np.allclose(gradient, 4.0 * direction, atol=1e-3):
        wrong(
            "The value is right, but its gradient by the critic's weights is "
            "not: the penalty would not train the critic. Keep the slope a "
            "tensor: no `stop_gradient`, no `convert_to_numpy` on the way."
        )
    correct(
        "3.7", "What does α ~ U(0, 1) *per pixel* sample instead of a line?"
    )


def _check_places(penalties, direction, n):
    """Infer from a bowl-shaped critic where the slope was taken."""
    line = direction[None] * np.ones((n, 1, 1, 1), "float32")
    x, samples = (ops.convert_to_tensor(c * line) for c in (2.0, 6.0))

    def bowl(rows):  # gradient = the point itself, norm = its distance from 0
        return 0.5 * ops.sum(ops.square(rows), axis=(1, 2, 3))

    def alphas():
        distance = 1 + np.sqrt(penalties(bowl, x, samples))
        return (6.0 - distance) / 4.0

    alpha = alphas()
    if np.allclose(alpha, 1.0, atol=1e-3):
        wrong(
            "The slope is taken at the real rows. Take it *between*: "
            "x̄ = α x + (1 − α) x̃."
        )
    if np.allclose(alpha, 0.0, atol=1e-3):
        wrong(
            "The slope is taken at the generated rows. Take it *between*: "
            "x̄ = α x + (1 − α) x̃."
        )
    if np.allclose(alpha, 0.5, atol=1e-3):
        wrong("α is always ½. Draw it from U(0, 1).")
    if np.ptp(alpha) < 1e-3:
        wrong(
            "All rows share one α. Draw one *per row*: shape (n, 1, …, 1), so "
            "that it is broadcast over the entries of a row."
        )
    if alpha.min() < -1e-3 or alpha.max() > 1 + 1e-3:
        wrong("Some points lie outside the segment: α belongs to [0, 1].")
    if alpha.std() < 0.2:
        wrong(
            "The points scatter too little for one α a row: an α of its own "
            "for every *pixel* leaves the line between the two rows. Shape "
            "(n, 1, …, 1)."
        )
    if abs(alpha.mean() - 0.5) > 0.08 or abs(alpha.std() - 0.289) > 0.05:
        wrong("α is not uniform on (0, 1).")
    if np.allclose(alpha, alphas()):
        wrong(
            "A second call drew the same α: every step would look at the same "
            "places. Pass the generator `seed` on, not an integer."
        )


# ---------------------------------------------------------------- 3.8

CURVES = (
    "discriminator_loss",
    "generator_loss",
    "real_accuracy",
    "fake_accuracy",
)

# Recorded: `GAN` on the digits, batches of 64, some 600 steps, seeds 0, 1, 2.
# Each curve after 1, 2, 4 and 8 eighths of training, then the samples' spread.
_TABLE = """\
settled; 1.315 1.254 1.343 1.301; 1.06 0.969 0.792 0.776;
  0.715 0.754 0.618 0.704; 0.578 0.694 0.674 0.835; 0.214
settled; 1.25 1.295 1.305 1.305; 1.044 0.913 0.843 0.755;
  0.795 0.681 0.647 0.75; 0.626 0.653 0.743 0.787; 0.217
settled; 1.297 1.266 1.323 1.319; 1.001 0.933 0.821 0.752;
  0.732 0.742 0.635 0.731; 0.615 0.689 0.73 0.705; 0.212
no fakes; 0.014 0 0 0; 0.004 0 0 0;
  0.993 1 1 1; 0 0 0 0; 0.14
no fakes; 0.018 0 0 0; 0.012 0 0 0;
  0.992 1 1 1; 0.007 0 0 0; 0.158
no fakes; 0.03 0 0 0; 0.014 0 0 0;
  0.987 1 1 1; 0.011 0 0 0; 0.149
label 0; 0.065 0 0 0; 0.031 0 0 0;
  0.985 1 1 1; 0.986 1 1 1; 0.061
label 0; 0.047 0 0 0; 0.019 0 0 0;
  0.988 1 1 1; 0.993 1 1 1; 0.065
label 0; 0.056 0 0 0; 0.016 0 0 0;
  0.979 1 1 1; 0.998 1 1 1; 0.068
frozen D; 5.429 5.939 5.953 5.963; 0.016 0.005 0.005 0.005;
  0.636 0.636 0.636 0.636; 0 0 0 0; 0.006
frozen D; 5.196 5.948 5.961 5.968; 0.034 0.006 0.006 0.006;
  0.365 0.365 0.365 0.365; 0.007 0 0 0; 0.003
frozen D; 4.604 4.992 5.028 5.042; 0.059 0.024 0.023 0.023;
  0.023 0.023 0.023 0.023; 0.012 0 0 0; 0.005
frozen G; 0.079 0 0 0; 7.063 12.858 20.423 22.674;
  0.985 1 1 1; 0.986 1 1 1; 0.147
frozen G; 0.064 0 0 0; 7.215 13.114 20.473 22.437;
  0.986 1 1 1; 0.993 1 1 1; 0.163
frozen G; 0.07 0 0 0; 7.139 12.749 20.035 22.113;
  0.979 1 1 1; 0.998 1 1 1; 0.159
collapse; 0.117 0.182 0.336 0; 8.694 11.872 14.187 21.656;
  0.969 0.973 0.946 1; 0.985 0.98 0.965 1; 0
collapse; 0.116 0.067 0.015 0; 8 15.591 57.388 23.502;
  0.978 0.988 0.998 1; 0.987 0.993 0.998 1; 0
collapse; 0.101 0.123 0.082 0; 6.956 13.298 36.87 58.089;
  0.975 0.981 0.988 1; 0.995 0.984 0.987 1; 0
"""


def _runs():
    """Each recorded run as (kind, history, spread)."""
    for line in _TABLE.replace(";\n ", ";").splitlines():
        kind, *columns, spread = line.split("; ")
        curves = [[float(v) for v in column.split()] for column in columns]
        yield kind, dict(zip(CURVES, curves, strict=True)), float(spread)


_SIGNS = {
    "settled": "Nobody wins: L_D stays near 2 log 2 ≈ 1.39, both accuracies "
    "between ½ and 0.9, and the spread is close to the data's 0.23.",
    "no fakes": "L_D → 0 is no success here: D calls *every* row real, which "
    "the accuracy on generated rows (0) gives away. Nobody shows it fakes.",
    "label 0": "Both losses → 0: the players agree. In a contest they cannot. "
    "D recognises every fake, and G is content with it.",
    "frozen D": "The accuracy on real rows does not move in any digit, and "
    "L_D stays large: D does not learn, and G has found its blind spot.",
    "frozen G": "D is certain and G's loss grows, but the samples still "
    "have the spread of an untrained generator: G does not move.",
    "collapse": "D is certain and G's loss is large, as with a frozen G; but "
    "here the spread is 0: G moved, and draws one picture.",
}


@one_sentence
def check_3_8(answer):
    """Read the failure off the curves, on runs not shown as well."""
    shown = set()
    for kind, history, spread in _runs():
        which = "an unseen run" if kind in shown else "the run in the table"
        shown.add(kind)
        verdict = call(answer, history, spread)
        if verdict is None:
            wrong(
                f"{which.capitalize()} of '{kind}' got no name: does every "
                "path of your function `return`?"
            )
        if not isinstance(verdict, str) or verdict not in _SIGNS:
            names = ", ".join(f"'{name}'" for name in _SIGNS)
            wrong(f"{verdict!r} is none of the six names: {names}.")
        if verdict != kind:
            wrong(
                f"You read {which} of '{kind}' as '{verdict}'. {_SIGNS[kind]}"
            )
    correct(
        "3.8",
        "Eighteen runs, three seeds each. Which seventh failure would your "
        "rules misname?",
    )
