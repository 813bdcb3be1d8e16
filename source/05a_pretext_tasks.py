# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Chapter 5a · Pretraining without labels: what to ask of an encoder
#
# Labels cost money; rows without labels often cost nothing. Pretraining hopes
# to turn the second into the first: an encoder learns from many unlabelled
# rows, then a small head learns from a few labels. Without labels the encoder
# needs another task, a *pretext*. This sitting builds six of them and says
# what each asks of an encoder. What they are worth, in labels, is measured in
# [sitting 5b](05b_what_a_label_is_worth.ipynb).
#
# **We will show**
#
# - the two stages as two formulas: a minimum, a starting point, a new head;
# - pretraining one layer at a time: what it cured, and what cures it today;
# - repairing and turning images, and what such tasks leave out;
# - SimCLR and VICReg written in the open: two views, one code, and what
#   forbids the same code for everything;
# - a network that learns from a slow copy of itself, and the two small parts
#   without which it collapses;
# - masked patches with attention, from `MultiHeadAttention` up.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 2](02a_autoencoders.ipynb): encoder, decoder, corruption; softmax and cross-entropy from [Chapter 1b](01b_gradient_descent.ipynb) |
# | Data | scikit-learn's digits (full profile: MNIST) |
# | Time | a minute on two CPU cores; 40 minutes of reading, exercises apart |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup", "hide-input"]
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from utils import data, plotting
from utils.baselines import linear
from utils.checks import chapter_05 as checks
from utils.evaluation import label_efficiency as labels
from utils.models import autoencoders, contrastive, distillation, pretext
from utils.models import masked as patchwise
from utils.nn import augmentation, networks
from utils.nn.likelihoods import SquaredError
from utils.training import pretraining, recipes, repeats

plotting.use_style()

# %% [markdown]
# **Parameters.** All that differs between the quick and the full profile.

# %% tags=["setup"]
DATA = profile.pick(quick="digits", full="mnist")
WIDTHS = (32, 64)  # filters of the two stages of the encoder
CODE = 64
ROWS = profile.pick(quick=None, full=15_000)  # unlabelled ones in use
REPEATS = profile.pick(quick=8, full=1)  # copies of the rows in an epoch
BATCH = 128
VIEWS = profile.pick(
    quick={"shift": 1.0, "affine": 0.2, "elastic": 0.4},
    full={"shift": 3.0, "affine": 0.35, "elastic": 1.5},
)
EPOCHS = profile.pick(quick=4, full=3)  # of repairing and turning
VIEW_EPOCHS = profile.pick(quick=5, full=6)  # of comparing
SHARP = profile.pick(quick=0.04, full=0.01)  # τ′ of DINO's teacher
PATCH = profile.pick(quick=2, full=4)
PATCH_EPOCHS = profile.pick(quick=3, full=10)
FEW = 5  # labels a class of the probe at the end

# %% tags=["setup"]
digits = data.load(DATA)
SHAPE, CLASSES = digits.event_shape, len(digits.classes)
x_train = np.tile(digits.x_train[:ROWS], (REPEATS, 1, 1, 1))
print("images", digits.x_train.shape, "| in an epoch", len(x_train))

# %% [markdown]
# Two functions serve the whole sitting. `build` is the one place where the
# encoder's architecture is written down: if pretrained and fresh networks are
# typed twice, nobody notices when they differ. `pretrain` fits any of the
# models below to the unlabelled rows.


# %% tags=["setup"]
def build(seed):
    """An untrained encoder: two convolutions, flatten, a linear code."""
    return networks.conv_encoder(SHAPE, CODE, WIDTHS, seed=seed)


def pretrain(model, epochs, x=x_train, batch=BATCH, rate=2e-3):
    """Fit a model without labels; return its history."""
    keras.utils.set_random_seed(1)  # the order of the rows
    recipes.compile(model, rate, updates=epochs * -(-len(x) // batch))
    history = model.fit(x, batch_size=batch, epochs=epochs, verbose=0).history
    ends = "  ".join(f"{k} {v[-1]:.3f}" for k, v in history.items())
    print(f"{type(model).__name__}: {ends}")
    return history


def same_steps(page, library):
    """Do five steps of both models, from one start, have the same loss?"""
    losses, start, rows = [], library.get_weights(), x_train[: 5 * BATCH]
    for model in (page, library):
        library.set_weights(start)  # they may share networks
        keras.utils.set_random_seed(1)
        model.compile(keras.optimizers.Adam(2e-3), run_eagerly=True)
        fit = model.fit(rows, batch_size=BATCH, shuffle=False, verbose=0)
        losses += fit.history["loss"]
    library.set_weights(start)
    return np.allclose(*losses, rtol=1e-3)


def in_rows(x):
    return x.reshape(len(x), -1)


def views_like(amounts, seed=0):
    """A layer that draws random views of images."""
    return augmentation.Augmentation(**amounts, seed=seed)


NETS = {"widths": WIDTHS, "seed": 0}
numpy_of = ops.convert_to_numpy

# %% [markdown]
# ## 1. Two stages, two formulas
#
# Let $p_u$ be the source of unlabelled rows. Stage one chooses the encoder
# $f_\theta$, with helpers $\psi$ such as a decoder, to make an unsupervised
# loss $\ell_u$ **small**,
#
# $$\theta^*,\psi^*=\arg\min_{\theta,\psi}\;\mathbb E_{x\sim p_u}
# \big[\ell_u(x;\theta,\psi)\big].\tag{1}$$
#
# Then $\psi^*$ is thrown away. Stage two has labelled rows and a head
# $h_\omega$ that turns codes into class scores,
#
# $$\hat\theta,\hat\omega=\arg\min_{\theta,\omega}\;\mathbb E_{(x,y)}
# \big[\ell_s\big(y,h_\omega(f_\theta(x))\big)\big],\qquad
# \text{started at }\theta=\theta^*,\;\omega\text{ fresh}.\tag{2}$$
#
# Three things are easy to lose here. Both are minima: a loss that is
# maximised teaches the opposite. The words after the comma are the *only*
# place where stage one enters: without "started at $\theta^*$" formula (2)
# is ordinary training. And $\omega$ is new: the output layer of stage
# one says pixels, or which view belongs to which, and its weights mean nothing
# to a classifier. That the result depends on where the descent starts also
# says what we may hope for: with unlimited labels and time the start is
# forgotten. Pretraining is a bet on *few* labels.
#
# In Keras formula (2) is a copy, a new layer, and nothing else:

# %%
donor = build(seed=0)  # stands for a pretrained encoder
copied = keras.models.clone_model(donor)  # the architecture, new weights
copied.set_weights(donor.get_weights())  # θ starts at θ*
inputs = keras.Input(SHAPE)
head = layers.Dense(CLASSES)  # ω starts afresh
classifier = keras.Model(inputs, head(copied(inputs)))

# %% [markdown]
# `pretraining.transfer` does the same, with checks: it refuses a whole model
# where the encoder is asked for, and rows of another shape.

# %%
transferred = pretraining.transfer(donor, CLASSES, seed=1)
theta = transferred.get_layer("encoder").get_weights()
omega = transferred.get_layer("head").get_weights()
print("θ", sum(w.size for w in theta), "numbers, as the donor's")
print("ω", [w.shape for w in omega], "new | output", transferred.output_shape)

# %% tags=["hide-input"]
assert all(map(np.array_equal, theta, donor.get_weights()))
assert all(map(np.array_equal, copied.get_weights(), theta))
assert transferred.get_layer("encoder") is not donor, "a copy"
assert transferred.output_shape == classifier.output_shape == (None, CLASSES)

# %% [markdown]
# ## 2. One layer at a time, and why no longer
#
# In 2006 hardly anybody could train a deep network of sigmoids: gradients
# shrank from layer to layer, and descent settled where the output ignores the
# input. Hinton and Salakhutdinov (2006), with Boltzmann machines, and Bengio
# et al. (2007), with autoencoders, found a way in: fit *one* shallow layer,
# fix it, fit the next one to its codes, and so on; stack the layers and tune
# them together. "Unsupervised pretraining" meant this.
#
# Autoencoders of eight layers, the same data and at most 900 updates each.
# Between neighbours in the figure one thing changes: the start (greedy stages
# count among the 900), the units (rectified, with He's initialisation), or
# the optimiser. Before you read on: what error does a network reach that
# ignores its input?

# %%
STACK = (64, 48, 32, 16)
flat = data.load("digits").flat()
rows = np.tile(flat.x_train, (4, 1))  # 73 updates an epoch


def deep(activation, code_activation):
    return autoencoders.Autoencoder.dense(
        (64,),
        STACK[-1],
        widths=STACK[:-1],
        activation=activation,
        code_activation=code_activation,
        seed=0,
        likelihood=SquaredError("sigmoid"),
    )


def tune(model, epochs, optimizer=None, start=None):
    """Train all layers together; return the held-out error."""
    keras.utils.set_random_seed(1)
    if optimizer:
        model.compile(optimizer, steps_per_execution=recipes.steps_at_once())
    else:  # compiled already, and to start again
        recipes.forget(model.optimizer)
        model.set_weights(start)
    model.fit(rows, batch_size=64, epochs=epochs, verbose=0)
    return np.mean((model.reconstruct(flat.x_val) - flat.x_val) ** 2)


# %% tags=["nbval-ignore-output"]
def momentum():
    return keras.optimizers.SGD(learning_rate=0.1, momentum=0.9)


stack = pretraining.greedy_stack(rows, STACK, epochs=2, learning_rate=0.01)
sigmoids = deep("sigmoid", "sigmoid")
wide = [4 * w if w.ndim == 2 else w for w in sigmoids.get_weights()]
components = PCA(STACK[-1], random_state=0).fit(flat.x_train)
restored = components.inverse_transform(components.transform(flat.x_val))
errors = {
    "sigmoids,\nmomentum": tune(sigmoids, 12, momentum()),
    "started\ngreedily": tune(sigmoids, 4, start=stack.model.get_weights()),
    "started\nfour times\nas wide": tune(sigmoids, 12, start=wide),
    "ReLU,\nmomentum": tune(deep("relu", "linear"), 12, momentum()),
    "ReLU,\nAdam": tune(deep("relu", "linear"), 12, recipes.adam(3e-3)),
    "PCA,\n16 numbers": np.mean((restored.clip(0, 1) - flat.x_val) ** 2),
}
mean_image = np.mean((flat.x_train.mean(axis=0) - flat.x_val) ** 2)
plotting.bars(
    errors,
    "Deep sigmoids needed a better start; PCA needs no training at all",
    ylabel="held-out squared error a pixel",
    reference=("mean image", mean_image),
)
plt.show()
print({k.replace("\n", " "): round(float(v), 4) for k, v in errors.items()})

# %% tags=["hide-input"]
stuck, greedy, wider, rectified, adam, by_pca = errors.values()
assert stuck > 0.9 * mean_image, "the output ignores the input"
assert greedy < 0.5 * stuck
assert wider < 0.5 * stuck, "the start alone"
assert rectified < 0.5 * stuck, "the failing optimiser, other units"
assert by_pca < adam < greedy

# %% [markdown]
# **Figure 5.1.** Held-out error of five trainings and of PCA. The first network
# answers with the mean image to everything: the dashed line (at three and ten
# times the rate, too). Started greedily it trains, by the very optimiser that
# failed. So it does from *the same random weights times four* (the slope of a
# sigmoid is a quarter at best; Glorot and Bengio 2010), and with rectified
# units: what failed was the start, not the depth. Adam lowers the error
# further, and none of them reaches sixteen principal components. What survived
# is not the recipe but its question: what can unlabelled rows teach an encoder
# that labels then need not? (Erhan et al. 2010 asked why it helped at all.)

# %% [markdown]
# ## 3. Repair: denoising and masking
#
# A plain autoencoder's task is to copy, and a wide code copies without
# learning anything. So damage the input and ask for the original.
#
# - **Denoising** ([Chapter 2c](02c_constrained_autoencoders.ipynb), section 1) adds noise
#   to every pixel. To undo it the encoder must know how pixels of real rows
#   hang together: strokes continue, corners are dark. Averaging over
#   neighbours gets far, so *local* knowledge suffices.
# - **Masking** hides whole patches and scores only those:
#   $\lVert m\odot(x-\hat x)\rVert^2$ with $m=1$ where hidden. No neighbour
#   inside the patch is left to average, so the encoder has to guess from
#   what is far away: what *is* this? He et al. (2022) hide three quarters of
#   a photograph. A small digit would be gone; we hide half.

# %% tags=["nbval-ignore-output"]
grey = SquaredError("sigmoid")  # pixels in [0, 1]
denoising = autoencoders.DenoisingAutoencoder.conv(
    SHAPE, CODE, amount=0.5, likelihood=grey, **NETS
)
masked = pretext.MaskedAutoencoder.conv(
    SHAPE, CODE, patch=2, ratio=0.5, likelihood=grey, **NETS
)
for model in (denoising, masked):
    history = pretrain(model, EPOCHS)
    assert history["loss"][-1] < history["loss"][0], "formula (1): a minimum"

# %%
shown = digits.x_val[:10]
noisy = data.corrupt(shown, "gaussian", 0.5, seed=1)
out = {name: numpy_of(v) for name, v in masked(shown).items()}
hidden = out["hidden"]
plotting.image_rows(
    {
        "original": shown,
        "noisy": noisy,
        "denoised": denoising.reconstruct(noisy),
        "half hidden": np.where(hidden == 1, 0.5, shown),
        "filled in": np.where(hidden == 1, out["reconstruction"], shown),
    },
    "Repairing is not copying: the answer has to come from elsewhere",
)
plt.show()

# %% tags=["hide-input"]
assert np.allclose(hidden.mean(axis=(1, 2, 3)), 0.5), "exactly half"

# %% [markdown]
# **Figure 5.2.** Grey squares mark hidden patches; the encoder sees black
# there. Where a stroke enters and leaves a patch, the filling is sharp; where
# it might turn either way, it is a grey average, the best answer under a
# squared error. Does that take a network? The opponent is a line: the mean of
# what is hidden, given what is seen, if images were Gaussian.

# %% tags=["nbval-ignore-output"]
out = {name: numpy_of(v) for name, v in masked(digits.x_val[:200]).items()}
seen, right = in_rows(out["hidden"]) == 0, in_rows(digits.x_val[:200])
many = in_rows(digits.x_train[:8000])
filled = {"the mean image": many.mean(axis=0) + 0 * right}
filled["network"] = in_rows(out["reconstruction"])
filled["Gaussian"] = linear.gaussian_guess(many, right, seen).clip(0, 1)
fault = {k: np.mean((v - right)[~seen] ** 2) for k, v in filled.items()}
print("error of a hidden pixel:", {k: f"{v:.4f}" for k, v in fault.items()})

# %% tags=["hide-input"]
assert fault["network"] < 0.75 * fault["the mean image"]
assert profile.full or fault["Gaussian"] < fault["network"], "a line is better"

# %% [markdown]
# On the digits **the line fills in better than the network**: the task is solved by
# which pixels go together, not by what a digit is. And every pixel has a vote: the
# code must store the place and width of every stroke, on which no label depends.

# %% [markdown]
# ## 4. Prediction: which way is up?
#
# Rotate every image by 0, 90, 180 and 270 degrees and let a head tell which
# it was (Gidaris et al. 2018): four classes, free labels, cross-entropy
# starting at $\log4$. For photographs this works well: to see that a dog is
# upside down one has to find the dog. What about digits? Think of 0, 1, 8,
# and of 6 and 9, before running the cell.

# %% tags=["nbval-ignore-output"]
rotation = pretext.RotationPredictor.conv(SHAPE, CODE, **NETS)
history = pretrain(rotation, max(1, EPOCHS - 1), batch=64)
logits = numpy_of(rotation(digits.x_val[:1000]))
right = (logits.argmax(-1) == np.arange(4)).mean(axis=1)


def edges(k, x):
    """Of images turned k times: ink in first and last row and column."""
    ink = np.rot90(x, k, (1, 2)).sum(axis=3)
    sides = ink[:, 0], ink[:, -1], ink[:, :, 0], ink[:, :, -1]
    return np.stack([side.sum(axis=1) for side in sides], axis=1)


sums = np.concatenate([edges(k, digits.x_train) for k in range(4)])
turns = np.repeat(range(4), len(digits.x_train))
four = LogisticRegression(max_iter=1000).fit(sums, turns)
by_edges = [four.predict(edges(k, digits.x_val[:1000])) == k for k in range(4)]
by_edges = sum(by_edges) / 4
for digit in (0, 1, 6, 8):
    found = digits.y_val[:1000] == digit
    parts = [f"{100 * r[found].mean():.0f} %" for r in (right, by_edges)]
    print(f"turns of a {digit} told right: {parts[0]}, by edges {parts[1]}")

# %% tags=["hide-input"]
assert history["accuracy"][-1] > 0.8, "the pretext task is solved well"
zero_or_six = np.isin(digits.y_val[:1000], (0, 6))
assert profile.full or by_edges[zero_or_six].mean() > 0.75, "four numbers"

# %% [markdown]
# The network is right far above the quarter of a guess, even on zeros and
# eights, which *look* the same upside down. Has it found the digit? Four
# numbers, the ink in each edge row and column, say as much about zeros and
# sixes: these digits were cut out so that they touch the upper and the lower
# edge, and rarely the sides. (MNIST's have an empty margin all round.) **A pretext
# task that is solved well has not thereby taught what we want**; its loss
# cannot tell, and a way round is found first. Sitting 5b measures the price.

# %% [markdown]
# ## 5. Comparison: two views of one image
#
# Instead of asking for pixels, say which pixels do not matter. A random
# *view* of an image is shifted, slanted, bent; the label survives all of
# that. Ask then for codes on which views of one image agree.

# %%
augment = views_like(VIEWS)
views = {
    f"view {n}": numpy_of(augment(shown, training=True)) for n in (1, 2, 3)
}
plotting.image_rows(
    {"original": shown, **views}, "Random views: each still the same digit"
)
plt.show()

# %% tags=["hide-input"]
assert np.array_equal(augment(shown, training=False), shown), "at inference"

# %% [markdown]
# **Figure 5.3.** Views of ten digits; no view is shown twice. **This choice
# is the supervision.** Whoever picks shift and slant says that class does not
# depend on them, and the encoder will believe it. A mirror would be right for
# cats and wrong for digits.
#
# Agreement alone has a trivial answer: one code for everything. Methods
# differ in how they forbid it.
#
# ### SimCLR: find your partner
#
# With $n$ images there are $2n$ views with projections $u_1,\dots,u_{2n}$.
# Let $s_{ij}=u_i^\top u_j/(\lVert u_i\rVert\lVert u_j\rVert)$ and
# $\tau$ be a temperature. For view $i$ with partner $j$ (Chen et al. 2020)
#
# $$\ell_{ij}=-\log\frac{\exp(s_{ij}/\tau)}{\sum_{m\ne i}\exp(s_{im}/\tau)},
# \tag{3}$$
#
# the *normalised temperature-scaled cross-entropy*, NT-Xent, in nats: a
# classification of views into $2n-1$ classes. Guessing costs $\log(2n-1)$.


# %%
def view_losses(first, second, temperature):
    """Equation (3) for each of the 2n views, in nats."""
    u = ops.concatenate([first, second])
    u = u / ops.norm(u, axis=1, keepdims=True)
    n = ops.shape(first)[0]
    scores = ops.matmul(u, ops.transpose(u)) / temperature
    scores = scores - 1e9 * ops.eye(2 * n)  # leave m = i out
    partner = ops.concatenate([ops.arange(n) + n, ops.arange(n)])
    return keras.losses.sparse_categorical_crossentropy(
        partner, scores, from_logits=True
    )


class Contrastive(keras.Model):
    """Two views, one encoder, and equation (3)."""

    def __init__(self, encoder, projector, views, temperature=0.5):
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.views, self.temperature = views, temperature

    def call(self, x, training=False):
        both = self.views(ops.concatenate([x, x]), training=True)
        u = self.projector(self.encoder(both))
        n = ops.shape(x)[0]
        return u[:n], u[n:]

    def compute_loss(self, x, y, y_pred, weight=None, training=True):
        return ops.mean(view_losses(*y_pred, self.temperature))


# %% [markdown]
# What is compared are *projections* $u=g(f(x))$, two layers above the code.
# The code is what we keep: the projector may forget what the code still has.
# The course's `SimCLR` takes the same networks. From the same weights, views
# and order of rows, is it the same model?


# %%
def projector_like(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((CODE,)), layers.Dense(128, "relu"), layers.Dense(64)]
    )


open_model = Contrastive(build(0), projector_like(0), views_like(VIEWS))
library = contrastive.SimCLR(
    build(0), projector_like(0), augmentation=views_like(VIEWS)
)
print("same loss:", same := same_steps(open_model, library))

# %% tags=["hide-input"]
assert same

# %% [markdown]
# ### VICReg: agree, spread out, do not repeat
#
# Bardes et al. (2022) compare nothing with anything else. With projections
# $U,U'$ of the two views, $n$ rows, $p$ entries, and $C$ the covariance
# matrix of $U$ over the batch, they add three terms, $25a+25v+c$:
#
# $$a=\frac1{np}\lVert U-U'\rVert^2,\quad
# v=\frac1p\sum_j\max\!\big(0,1-\sqrt{C_{jj}+10^{-4}}\big),\quad
# c=\frac1p\sum_{i\ne j}C_{ij}^2.\tag{4}$$
#
# Views agree; each entry keeps a deviation of 1 or more; entries do not
# repeat each other. $v$ and $c$ are means over both views.


# %%
def three_terms(first, second):
    """Equation (4): agreement, missing variance, overlap."""
    agree, missing, overlap = ops.mean(ops.square(first - second)), 0.0, 0.0
    for u in (first, second):
        u = u - ops.mean(u, axis=0)
        c = ops.matmul(ops.transpose(u), u) / (u.shape[0] - 1)
        variance = ops.diagonal(c)
        missing += ops.mean(ops.relu(1 - ops.sqrt(variance + 1e-4))) / 2
        repeats = ops.sum(ops.square(c)) - ops.sum(ops.square(variance))
        overlap += repeats / u.shape[1] / 2
    return agree, missing, overlap


rng = np.random.default_rng(0)
pair = rng.normal(size=(2, 50, 8)).astype("float32")
ours, theirs = three_terms(*pair), contrastive.vicreg_terms(*pair)
square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], "float32")
print("same terms:", np.allclose(ours, theirs, rtol=1e-4))
print("the minimum:", *(f"{float(t):.1f}" for t in three_terms(square, square)))

# %% tags=["hide-input"]
assert np.allclose(ours, theirs, rtol=1e-4)
assert all(float(t) == 0.0 for t in three_terms(square, square))

# %% tags=["nbval-ignore-output"]
comparing = {"augmentation": views_like(VIEWS), **NETS}
simclr = contrastive.SimCLR.conv(SHAPE, CODE, **comparing)
history = pretrain(simclr, VIEW_EPOCHS)
vicreg = contrastive.VICReg.conv(SHAPE, CODE, **comparing)
pretrain(vicreg, VIEW_EPOCHS)
unguarded = contrastive.VICReg.conv(
    SHAPE, CODE, variance=0.0, covariance=0.0, **comparing
)
pretrain(unguarded, 1, x=x_train[: 64 * BATCH])
spreads = [
    numpy_of(model(digits.x_val[:500])["first"]).std(axis=0).mean()
    for model in (vicreg, unguarded)
]
print("deviation of a projection's entry: {:.3f}, {:.3f}".format(*spreads))
print(f"SimCLR: guessing costs {np.log(2 * BATCH - 1):.3f} nats")

# %% tags=["hide-input"]
assert history["loss"][-1] < np.log(2 * BATCH - 1) - 0.5
assert spreads[1] < 0.2 * spreads[0], "agreement alone"

# %% [markdown]
# The last model was asked for agreement alone. Its loss went nearly to zero,
# the best of all losses here, and its projections are nearly one point:
# **collapse**. As in Chapter 3, the loss does not say so, and one number that
# nobody optimises does.

# %%
maps = {
    "pixels": in_rows,
    "untrained": build(seed=0),
    "rotation": rotation.encoder,
    "SimCLR": simclr.encoder,
}
panels = {
    name: PCA(2).fit_transform(numpy_of(encoder(digits.x_val[:600])))
    for name, encoder in maps.items()
}

# %% tags=["gallery-pretraining_codes"]
plotting.scatter(
    panels,
    digits.y_val[:600],
    "Views that agree pull the rows of a class together, without a label",
    class_names=digits.classes,
    axes=("first component", "second component"),
)
plt.show()

# %% [markdown]
# **Figure 5.4.** Codes of held-out rows on their two first principal
# components; colours are labels that no encoder has seen, the bad encoders
# beside the good one. Nobody asked for classes. In the pixels some stand apart
# already, random weights and turning add nothing. Under SimCLR more of them
# part: views of one three look like views of another. Most of 3, 5, 8 and 9
# still lie in one heap.
#
# ## 6. A slow copy of oneself
#
# Large batches of other images are costly. Momentum contrast (He et al. 2020)
# keeps a queue of earlier ones. BYOL (Grill et al. 2020) keeps none: a
# **student** predicts what a **teacher** says of the other view, and the
# teacher's weights $\theta'$ are a moving average of the student's,
#
# $$\ell=2-2\cos\big(q(u),\,u'\big),\qquad
# \theta'\leftarrow m\,\theta'+(1-m)\,\theta.\tag{5}$$
#
# $q$ is a predictor that the teacher lacks, $m$ lies just below 1, and no
# gradient reaches the teacher. A constant answer would still cost nothing.


# %%
class SelfTaught(keras.Model):
    """Equation (5): a student, its predictor, and a teacher that follows."""

    def __init__(self, encoder, projector, predictor, views, momentum=0.99):
        super().__init__()
        self.student = keras.Sequential([encoder, projector])
        self.teacher = keras.models.clone_model(self.student)
        self.teacher.set_weights(self.student.get_weights())
        self.teacher.trainable = False
        self.predictor, self.views = predictor, views
        self.momentum = momentum

    def call(self, x, training=False):
        both = self.views(ops.concatenate([x, x]), training=True)
        u = self.student(both, training=training)
        told = ops.stop_gradient(self.teacher(both, training=training))
        n = ops.shape(x)[0]  # each view is told what the other one is
        told = ops.concatenate([told[n:], told[:n]])
        return self.predictor(u, training=training), told

    def compute_loss(self, x, y, y_pred, weight=None, training=True):
        guess, told = (ops.normalize(u, axis=1) for u in y_pred)
        if training:
            self.follow()
        return 2 * ops.mean(2 - 2 * ops.sum(guess * told, axis=1))

    def follow(self):
        m = self.momentum
        pairs = zip(self.student.weights, self.teacher.weights, strict=True)
        for new, old in pairs:
            old.assign(old + (1 - m) * (ops.stop_gradient(new) - old))


# %% [markdown]
# `BYOL` is the library's. Projector and predictor have **batch
# normalisation** in their hidden layer, as in the paper: each unit is
# standardised over the batch while training, by running averages at
# inference (`training=False`). Is the class the same, and does the
# normalisation matter?

# %% tags=["nbval-ignore-output"]
byol = distillation.BYOL.conv(
    SHAPE, CODE, **{**comparing, "augmentation": views_like(VIEWS)}
)
parts = byol.encoder, byol.projector, byol.predictor
taught = SelfTaught(*parts, views_like(VIEWS))
same = same_steps(taught, byol)
ends = {"BYOL": pretrain(byol, VIEW_EPOCHS)}
bare = distillation.BYOL.conv(SHAPE, CODE, normalize=False, **comparing)
ends["BYOL, collapsed"] = pretrain(bare, VIEW_EPOCHS // 2)

# %%
print("same loss:", same)

# %% tags=["hide-input"]
assert same


# %% [markdown]
# `spread` is the mean deviation of the teacher's directions; the loss is the sum
# over both directions, here and below. Without batch
# normalisation it is near zero, at the better loss: this small BYOL collapses,
# and stays there, at a quarter of the rate and with other seeds, too.
# (Larger ones have been trained without it, with care for the initialisation.)
#
# **DINO** (Caron et al. 2021) has no predictor. Student and teacher sort
# images into invented classes by scores $s$ and $s'$, and the student is to
# match the teacher:
#
# $$\ell=-\sum_k p'_k\log p_k,\quad p=\mathrm{softmax}(s/\tau),\quad
# p'=\mathrm{softmax}\big((s'-c)/\tau'\big),\quad\tau'<\tau.\tag{6}$$
#
# $c$ is a moving mean of the teacher's scores. Why subtract it? Remove it:

# %% tags=["nbval-ignore-output"]
comparing["teacher_temperature"] = SHARP
dino = distillation.DINO.conv(SHAPE, CODE, **comparing)
ends["DINO"] = pretrain(dino, VIEW_EPOCHS)
uncentred = distillation.DINO.conv(SHAPE, CODE, centring=False, **comparing)
ends["DINO, collapsed"] = pretrain(uncentred, VIEW_EPOCHS // 2)
blunt = {}
if profile.full:
    comparing["teacher_temperature"] = 0.04
    dull = distillation.DINO.conv(SHAPE, CODE, **comparing)
    pretrain(dull, VIEW_EPOCHS)
    blunt["DINO, blunt teacher"] = dull.encoder


# %% tags=["hide-input"]
last = {name: {k: v[-1] for k, v in h.items()} for name, h in ends.items()}
assert last["BYOL, collapsed"]["spread"] < 0.3 * last["BYOL"]["spread"]
assert last["DINO, collapsed"]["classes"] < 2 < 5 < last["DINO"]["classes"]
assert last["DINO, collapsed"]["loss"] < last["DINO"]["loss"]

# %% [markdown]
# `classes` counts the invented classes in use, as the exponential of the
# entropy of the teacher's mean answer. With centring there are dozens; without
# it, *one*: some class is ahead by chance, the sharp teacher puts every image
# there, and the student agrees: the loss heads for zero. Centring takes away
# whatever a class has for *all* images. Alone it would invite the other
# collapse, all classes alike, against which the teacher's lower temperature
# works. How low is low enough depends on data and views: on MNIST
# $\tau'=.04$ ends with all 64 classes equally likely for every image, .01 does not
# (full profile).
#
# ## 7. Masked patches, with attention
#
# A convolution has to be shown something where a patch is hidden. A
# **transformer** takes a picture as a *set* of patches, each a vector, its
# *token*, that also knows its place, so hidden ones are left out (He et al.
# 2022). In **attention** each patch asks all of them: with queries $Q$, keys
# $K$ and values $V$, three linear maps of the same tokens, $d$ numbers each,
#
# $$\mathrm{attention}=\mathrm{softmax}\big(QK^\top/\sqrt d\big)V.\tag{7}$$
#
# `MultiHeadAttention` does so several times side by side, its heads.


# %%
def block(tokens, heads=4):
    """Attention between tokens, then a small network on each."""
    width = tokens.shape[-1]
    calm = layers.LayerNormalization()(tokens)
    attend = layers.MultiHeadAttention(heads, width // heads)
    tokens = tokens + attend(calm, calm)
    calm = layers.LayerNormalization()(tokens)
    inner = layers.Dense(2 * width, "gelu")(calm)
    return tokens + layers.Dense(width)(inner)


def three_networks(width, count, pixels):
    """Image → tokens; seen tokens → tokens; all tokens → pixels."""
    image, seen = keras.Input(SHAPE), keras.Input((None, width))
    tokens = layers.Conv2D(width, PATCH, PATCH)(image)  # a patch, a vector
    tokens = layers.Reshape((count, width))(tokens)
    embed = keras.Model(image, patchwise.Places()(tokens))
    trunk = keras.Model(seen, layers.LayerNormalization()(block(seen)))
    whole = keras.Input((count, width))
    guess = layers.Dense(pixels)(layers.LayerNormalization()(block(whole)))
    return embed, trunk, keras.Model(whole, guess)


# %%
class HiddenPatches(keras.Model):
    """Encode the patches that are seen, guess the pixels of the others."""

    def __init__(self, embed, trunk, decoder, share=0.5, seed=0):
        super().__init__()
        self.embed, self.trunk, self.decoder = embed, trunk, decoder
        self.count, width = embed.output_shape[1:]
        self.kept = self.count - round(share * self.count)
        self.blank = self.add_weight(shape=(width,), initializer="zeros")
        self.places = self.add_weight(shape=(self.count, width))
        self.noise = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        tokens, k = self.embed(x), self.kept
        draw = keras.random.uniform(ops.shape(tokens)[:2], seed=self.noise)
        order = ops.argsort(draw, axis=1)[..., None]  # seen first
        back = ops.argsort(order, axis=1)
        seen = ops.take_along_axis(tokens, order[:, :k], axis=1)
        blanks = ops.zeros_like(tokens[:, k:]) + self.blank
        whole = ops.concatenate([self.trunk(seen), blanks], axis=1)
        whole = ops.take_along_axis(whole, back, axis=1) + self.places
        return self.decoder(whole), back[..., 0] >= k

    def compute_loss(self, x, y, y_pred, weight=None, training=True):
        guess, hidden = y_pred
        error = ops.square(patchwise.image_patches(x, PATCH) - guess)
        error = ops.sum(error, axis=2) * ops.cast(hidden, "float32")
        return ops.mean(ops.sum(error, axis=1))


# %% tags=["nbval-ignore-output"]
count = (SHAPE[0] // PATCH) ** 2
keras.utils.set_random_seed(0)
nets = three_networks(32, count, PATCH**2)
library = patchwise.MaskedPatches(*nets, patch=PATCH, seed=0)
hiding = HiddenPatches(*nets)
hiding.places.assign(ops.copy(library.places))
same = same_steps(hiding, library)
history = pretrain(library, PATCH_EPOCHS, rate=3e-3)

# %%
print("same loss:", same)

# %% tags=["hide-input"]
assert same

# %% [markdown]
# ## 8. A first look at the codes
#
# Freeze each encoder and read its codes with a logistic regression from five
# labels a class, five draws. The patches' encoder has an opponent of its own
# kind: the same transformer with random weights; and two ways of being read,
# the mean of its tokens, or all of them **side by side**, each in its place.
# And an opponent without a network that is *told the views*, as SimCLR is: linear
# discriminant analysis with every image a class of its own, whose members are its
# views. It finds the sixteen directions in which images differ most, and views of
# one image least.


# %%
def side_by_side(model):
    """Codes that keep each token in its place, instead of their mean."""
    return lambda x: in_rows(numpy_of(model.trunk(model.embed(x))))


shown = [augment(digits.x_train[:2000], training=True) for _ in range(30)]
told = linear.unlike_views(np.stack([numpy_of(v) for v in shown]), 16)
fresh = patchwise.MaskedPatches.transformer(
    SHAPE, 32, patch=PATCH, depth=1, seed=1
)
encoders = {
    "pixels": in_rows,
    "pixels, told the views": lambda x: in_rows(x) @ told,
    "random, convolutions": build(1),
    "random, transformer": fresh.encoder,
    "random, side by side": side_by_side(fresh),
    "denoising": denoising.encoder,
    "masking": masked.encoder,
    "rotation": rotation.encoder,
    "VICReg": vicreg.encoder,
    "SimCLR": simclr.encoder,
    "BYOL": byol.encoder,
    "BYOL, collapsed": bare.encoder,
    "DINO": dino.encoder,
    "DINO, collapsed": uncentred.encoder,
    **blunt,
    "masked patches": library.encoder,
    "masked, side by side": side_by_side(library),
}

# %% tags=["nbval-ignore-output"]
(drawn,) = labels.draw_labelled(digits.y_train, (FEW,), draws=5, seed=0)
x_test, y_test = digits.x_test[:1000], digits.y_test[:1000]
train = digits.x_train, digits.y_train
probes = {
    name: labels.probe_draws(encoder, train, drawn, (x_test, y_test))
    for name, encoder in encoders.items()
}
runtime.record(
    f"Linear probe on {DATA}, {FEW} labels a class: test accuracy in %",
    ("codes", "accuracy"),
    [(n, repeats.with_spread(100 * v, 1)) for n, v in probes.items()],
)

# %% tags=["hide-input"]
mean = {name: np.mean(v) for name, v in probes.items()}
for views_were_used in ("SimCLR", "BYOL", "DINO"):
    assert mean[views_were_used] > mean["random, convolutions"] + 0.01
for name in ("BYOL", "DINO"):
    assert mean[name] > mean[f"{name}, collapsed"] + 0.01
assert not blunt or mean["DINO, blunt teacher"] < mean["pixels"] - 0.1
side, pooled = mean["masked, side by side"], mean["masked patches"]
assert profile.full or side > pooled + 0.06, "how it is read"
assert profile.full or abs(mean["pixels"] - side) < 0.05
assert (
    profile.full or abs(mean["VICReg"] - mean["pixels, told the views"]) < 0.05
)
assert mean["SimCLR"] > mean["pixels, told the views"] + 0.02

# %% [markdown]
# Mean ± standard deviation of five draws. **SimCLR leads.** VICReg, DINO and BYOL
# are level with a linear map of the pixels that was told the same views, and with the
# pixels themselves or nearly so. BYOL and DINO stand far above their collapsed twins,
# which know no more than random weights: without its guard neither learns anything.
# Repair and turning stay *below* the pixels, although turning was solved well.
#
# **How the transformer is read matters more than what it learned.** The mean of
# its tokens forgets where each stood, and loses to nearly everything. Side by side
# they are level with the pixels; those of *random* weights stay two points
# behind. Its error on hidden pixels, printed above, is still that of the mean
# image: it has learned where ink usually is. He et al. train for hundreds of
# epochs on a million photographs.
#
# On MNIST ([results](../docs/results.md)) SimCLR leads by more: 85.5, then DINO with its
# sharper teacher 76.5, VICReg 75.0, masking 67.7, the pixels 63.0; denoising,
# turning and BYOL stay near the pixels. The blunt teacher's DINO has 48.8, less than random
# weights, and the masked transformer 40.8. (DINO has an advantage here: its $\tau'$ was found by
# looking at the very rows of this table, while the others were not tuned.)
#
# This table is no verdict yet. Most contenders were never told the views,
# none but DINO was tuned, and one budget of labels is not a curve.
#
# ## What we showed
#
# - Two formulas: both stages minimise, stage two *starts* at the encoder of
#   stage one, and its head is new.
# - Greedy stages made eight sigmoid layers trainable by an optimiser that
#   failed without them; so did a wider start, or other units. PCA beat them.
# - Repair asks for every pixel, and linear repair is as good; turns of some
#   digits show at the edges; comparison asks for what views share, and without
#   its guards collapses at the best loss of the sitting.
# - A student and its slow copy need no other images. This BYOL needs batch
#   normalisation, DINO its centring: without them, collapse.
# - A masked transformer of forty lines trains; on small digits its codes, read
#   side by side, are worth about what the pixels are, trained or not.
#
# **Limits.** Small networks, small images, one seed for each pretext, views
# chosen by somebody who knew what the labels would mean.
#
# Next: [5b](05b_what_a_label_is_worth.ipynb) turns accuracies into labels.
#
# **References**
#
# - A. Bardes, J. Ponce, Y. LeCun: *VICReg*, ICLR 2022
# - Y. Bengio et al.: *Greedy layer-wise training of deep networks*, NeurIPS 2007
# - M. Caron et al.: *Emerging properties in self-supervised vision
#   transformers*, ICCV 2021
# - T. Chen et al.: *A simple framework for contrastive learning of visual
#   representations*, ICML 2020
# - D. Erhan et al.: *Why does unsupervised pre-training help deep learning?*,
#   JMLR 11, 2010
# - S. Gidaris, P. Singh, N. Komodakis: *Unsupervised representation learning
#   by predicting image rotations*, ICLR 2018
# - J.-B. Grill et al.: *Bootstrap your own latent*, NeurIPS 2020
# - K. He et al.: *Momentum contrast for unsupervised visual representation
#   learning*, CVPR 2020; *Masked autoencoders are scalable vision learners*,
#   CVPR 2022
# - X. Glorot, Y. Bengio: *Understanding the difficulty of training deep
#   feedforward neural networks*, AISTATS 2010
# - G. Hinton, R. Salakhutdinov: *Reducing the dimensionality of data with
#   neural networks*, Science 313, 2006

# %% [markdown]
# ## Exercises
#
# Each exercise ends in a check that says what is wrong with an answer, not
# only that it is. Exercises need the set-up cells at the top and nothing else.

# %% [markdown] tags=["exercise"]
# ### Exercise 5.1 · Three values of NT-Xent (pencil)
#
# *You will learn what the loss of a contrastive model can be.* Two images,
# projections in the plane, $\tau=1$. Compute equation (3) for the first view
# of the first image where (a) both views of each image agree and the two
# images stand at a right angle; (b) all four projections are equal; (c) the
# arrangement is the best possible. Natural logarithms, three digits.

# %% tags=["exercise"]
answer = [None, None, None]
### BEGIN SOLUTION
answer = [
    np.log(np.e + 2) - 1,  # candidates 1, 0, 0
    np.log(3),  # three equal candidates
    np.log(np.e + 2 / np.e) - 1,  # candidates 1, −1, −1
]
### END SOLUTION

# %% tags=["check"]
checks.check_5_1(answer)

# %% [markdown] tags=["discussion"]
# 0.551, 1.099 and 0.240. Even perfect codes pay 0.24 nats: with $\tau=1$ a
# cosine can raise a probability only so far. With $\tau=0.1$ (a) costs
# $10^{-4}$, (c) nothing worth printing, and (b) still
# $\log3$: a collapsed model pays the guess at any temperature.

# %% [markdown] tags=["exercise"]
# ### Exercise 5.2 · NT-Xent in `keras.ops`
#
# *You will learn to write a loss over a whole batch that stays finite.*
# `first` and `second` are tensors $(n,p)$, rows in the same order. Section 5
# gives one loss a *view*; return one a *pair*, shape $(n,)$: the mean of its
# two directions, over all $2n-1$ candidates. It has to be right at
# $\tau=0.01$, too, and to send a gradient into both views.


# %% tags=["exercise"]
def pair_loss(first, second, temperature):
    """Return the NT-Xent loss of each pair, (n,), in nats."""
    ### BEGIN SOLUTION
    both = ops.concatenate([first, second], axis=0)
    both = both / ops.norm(both, axis=1, keepdims=True)
    n = first.shape[0]
    scores = ops.matmul(both, ops.transpose(both)) / temperature
    scores = scores - 1e9 * ops.eye(2 * n)
    log_p = ops.log_softmax(scores, axis=1)
    ways = -ops.diagonal(log_p[:n, n:]) - ops.diagonal(log_p[n:, :n])
    return ways / 2
    ### END SOLUTION


# %% tags=["check"]
checks.check_5_2(pair_loss)

# %% [markdown] tags=["discussion"]
# Without the diagonal's penalty each view's best candidate is itself, cosine
# 1, and the loss cannot fall below $\log2$. Leaving out the views of the same
# side is another published loss (InfoNCE over one direction); it has half of
# the negatives, and its numbers do not compare with these.

# %% [markdown] tags=["exercise"]
# ### Exercise 5.3 · Hide exactly a quarter
#
# *You will learn to mask by patches.* `x` holds images $(n,h,w,c)$, both
# sides divisible by `patch`. For every image choose `round(ratio * patches)`
# patches by `rng`, a NumPy generator, no more and no fewer. Return `seen`, the
# images with hidden pixels 0, and `hidden`, shape $(n,h,w,1)$, 1 where hidden.


# %% tags=["exercise"]
def hide(x, patch, ratio, rng):
    """Return (seen, hidden)."""
    ### BEGIN SOLUTION
    n, height, width, _ = x.shape
    grid = height // patch, width // patch
    count = round(ratio * grid[0] * grid[1])
    order = rng.random((n, grid[0] * grid[1])).argsort(axis=1).argsort(axis=1)
    hidden = (order < count).astype(float).reshape(n, *grid, 1)
    hidden = hidden.repeat(patch, axis=1).repeat(patch, axis=2)
    return x * (1 - hidden), hidden
    ### END SOLUTION


# %% tags=["check"]
checks.check_5_3(hide)

# %% [markdown] tags=["discussion"]
# Sorting random numbers twice gives each patch its rank; ranks below the
# count are hidden. A coin for each patch would hide nothing in some images
# and everything in others, and a loss over hidden pixels would then weigh
# images by luck.

# %% [markdown] tags=["exercise"]
# ### Exercise 5.4 · A contrastive step
#
# *You will learn what happens between a batch and its loss.* `x` holds images
# $(n,h,w,c)$; `views` is a layer that draws random views when it is called
# with `training=True`; `encoder` and `projector` are Keras models. Return the
# loss of the step, one number: the mean of equation (3) over all pairs, for
# two fresh views of every image. You may use `contrastive.nt_xent`.


# %% tags=["exercise"]
def contrastive_step(x, views, encoder, projector, temperature):
    """Return the mean NT-Xent loss of one batch, a scalar tensor."""
    ### BEGIN SOLUTION
    first, second = (
        projector(encoder(views(x, training=True))) for _ in range(2)
    )
    return ops.mean(contrastive.nt_xent(first, second, temperature))
    ### END SOLUTION


# %% tags=["check"]
checks.check_5_4(contrastive_step)

# %% [markdown] tags=["discussion"]
# Without `training=True` both views are the image itself: partners then agree
# from the first step on, and what is left to learn is to tell images apart,
# which pixels can do. With codes in place of projections the step runs as
# well, and the codes forget whatever the views vary.
