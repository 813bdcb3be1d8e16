"""How many labels is a pretrained encoder worth? Measured, with controls.

Everything that could favour one row of the table is held equal: labelled
rows, held-out rows, head, optimiser, number of updates, order of batches.
"""

import dataclasses

import keras
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from utils.support import validation as check
from utils.support.batches import in_batches
from utils.training import recipes
from utils.training.classifiers import (
    compile_classifier,
    fit_head,
    mean_and_size,
    update_rows,
)
from utils.training.pretraining import transfer

__all__ = [
    "LabelEfficiency",
    "draw_labelled",
    "knn_probe",
    "label_efficiency",
    "linear_probe",
]

_STATISTICS = 5000  # unlabelled rows behind the mean and size of codes


@dataclasses.dataclass(frozen=True)
class LabelEfficiency:
    """Accuracies of :func:`label_efficiency`.

    Attributes:
        budgets: Labels a class.
        accuracy: Dict of name to array ``(budgets, draws)``, held-out.
        labelled: For each budget an array ``(draws, budget · classes)``: row
            numbers within ``x_train`` that were labelled.
    """

    budgets: tuple
    accuracy: dict
    labelled: tuple

    def table(self):
        """Header and rows of text: mean ± standard deviation, in percent."""
        header = ["labels a class", *map(str, self.budgets)]
        rows = [
            [name]
            + [f"{100 * v.mean():.1f} ± {100 * v.std(ddof=1):.1f}" for v in a]
            for name, a in self.accuracy.items()
        ]
        return header, rows

    def margin(self, name, other, budget):
        """Accuracy of one row minus another's, draw by draw: ``(draws,)``."""
        check.check_choice(name, "name", tuple(self.accuracy))
        check.check_choice(other, "other", tuple(self.accuracy))
        if budget not in self.budgets:
            check.fail("budget", f"one of {self.budgets}", f"{budget}")
        index = self.budgets.index(budget)
        return self.accuracy[name][index] - self.accuracy[other][index]


def label_efficiency(
    build,
    encoders,
    split,
    *,
    budgets=(2, 5, 20),
    draws=5,
    fine_tuned=(),
    updates=200,
    batch_size=32,
    head_rate=1e-2,
    rate=1e-3,
    tuned_rate=3e-4,
    augmentation=None,
    seed=0,
):
    """Held-out accuracy against the number of labels, with all controls.

    Rows of the result: ``"pixels"`` and ``"PCA"``, whose features no
    gradient made; ``"random, frozen"``, the encoder's architecture without
    its training; ``"scratch"``, the whole network trained on the labels; for
    each encoder ``"NAME, frozen"``. For encoders in ``fine_tuned`` also
    ``"NAME, tuned"``, half of the updates with the encoder frozen, half with
    all weights moving, and ``"random, tuned"``: a random encoder on the
    *same schedule*, so that what is left of the difference are features.

    The head is one softmax layer on codes of mean 0 and mean square 1 (as
    ``pretraining.transfer`` makes them from ``x``), started at zero and
    trained by Adam, with the same number of updates in every row.

    Args:
        build: Function of a seed that returns an untrained encoder; the one
            place where the architecture stands. Draw i uses seed 1000 + i.
        encoders: Dict of name to pretrained encoder, codes ``(batch, k)``.
        split: ``(x_train, y_train, x_eval, y_eval)``: labels are drawn from
            ``x_train``, accuracy is that on ``x_eval``. PCA, means and sizes
            of codes are taken from ``x_train`` without labels.
        budgets: Labels a class, ascending. Draws are nested: those of a
            small budget are among those of a larger one.
        draws: Number of draws of labelled rows ≥ 1.
        fine_tuned: Names in ``encoders`` to fine-tune as well; these must
            have the architecture of ``build``.
        updates: Gradient steps of every row.
        batch_size: Labelled rows a step.
        head_rate: Adam's rate for a head on frozen codes.
        rate: Adam's rate from scratch.
        tuned_rate: Adam's rate while fine-tuning.
        augmentation: Layer applied to the labelled rows of every step, in
            every row of the table, or ``None``.
        seed: Integer ≥ 0 of the draws and the order of batches.

    Returns:
        :class:`LabelEfficiency`.

    Raises:
        ValueError: arrays of different shape, labels out of range, a class
            with fewer rows than a budget, an encoder of another input shape
            or, to be fine-tuned, of another architecture.
    """
    split, classes = _check_split(split)
    budgets = check.check_widths(budgets, "budgets")
    seed = check.check_int(seed, "seed", minimum=0)
    schedule = _Schedule(
        check.check_int(updates, "updates", 2),
        check.check_int(batch_size, "batch_size"),
        check.check_number(head_rate, "head_rate", 0.0),
        check.check_number(rate, "rate", 0.0),
        check.check_number(tuned_rate, "tuned_rate", 0.0),
        augmentation,
        seed,
    )
    labelled = draw_labelled(split[1], budgets, draws=draws, seed=seed)
    _check_encoders(build, encoders, fine_tuned, split[0].shape[1:])
    runs = _Runs(split, classes, labelled, schedule)
    accuracy = {}
    flat = keras.layers.Flatten()
    accuracy["pixels"] = runs.frozen([flat] * draws)
    accuracy["PCA"] = runs.frozen([_pca(split[0], build(0))] * draws)
    untrained = [build(1000 + draw) for draw in range(draws)]
    accuracy["random, frozen"] = runs.frozen(untrained)
    accuracy["scratch"] = runs.scratch(untrained)
    if fine_tuned:
        accuracy["random, tuned"] = runs.tuned(untrained)
    for name, encoder in encoders.items():
        accuracy[f"{name}, frozen"] = runs.frozen([encoder] * draws)
        if name in fine_tuned:
            accuracy[f"{name}, tuned"] = runs.tuned([encoder] * draws)
    return LabelEfficiency(tuple(budgets), accuracy, tuple(labelled))


def draw_labelled(y, budgets, *, draws=5, seed=0):
    """Row numbers to label: nested draws, equally many of each class.

    Args:
        y: Integer labels ``(n,)`` of the training split, 0, 1, ….
        budgets: Labels a class.
        draws: Number of draws ≥ 1.
        seed: Integer ≥ 0.

    Returns:
        For each budget an int array ``(draws, budget · classes)`` without
        repeats. The rows of a smaller budget are among those of a larger.

    Raises:
        ValueError: a class with fewer rows than a budget, labels that are no
            integers.
    """
    y = check.check_labels(y, "y")
    budgets = check.check_widths(budgets, "budgets")
    draws = check.check_int(draws, "draws")
    seed = check.check_int(seed, "seed", minimum=0)
    counts = np.bincount(y)
    if max(budgets) > counts.min():
        check.fail(
            "budgets",
            f"at most {counts.min()} labels a class, as the rarest has",
            f"{max(budgets)}",
        )
    orders = [
        [
            np.random.default_rng([seed, draw, c]).permutation(
                np.flatnonzero(y == c)
            )
            for c in range(len(counts))
        ]
        for draw in range(draws)
    ]
    return [
        np.stack([np.concatenate([r[:b] for r in rows]) for rows in orders])
        for b in budgets
    ]


def _check_split(split):
    if not isinstance(split, tuple) or len(split) != 4:
        check.fail(
            "split", "(x_train, y_train, x_eval, y_eval)", type(split).__name__
        )
    x_train, y_train, x_eval, y_eval = split
    x_train = check.check_array(x_train, "x_train", min_rows=2)
    x_eval = check.check_array(x_eval, "x_eval", event_shape=x_train.shape[1:])
    y_train = check.check_labels(y_train, "y_train", len(x_train))
    classes = int(y_train.max()) + 1
    check.check_labels(y_train, "y_train", num_classes=classes)
    y_eval = check.check_labels(y_eval, "y_eval", len(x_eval), classes)
    return (x_train, y_train, x_eval, y_eval), classes


def _check_encoders(build, encoders, fine_tuned, event_shape):
    wanted = [tuple(w.shape) for w in build(0).weights]
    for name, encoder in encoders.items():
        shape = tuple(encoder.input_shape[1:])
        if shape != event_shape:
            check.fail(f"encoders[{name!r}]", f"inputs {event_shape}", shape)
        found = [tuple(w.shape) for w in encoder.weights]
        if name in fine_tuned and found != wanted:
            check.fail(
                f"encoders[{name!r}]",
                f"the architecture of build, weights {wanted}",
                f"{found}",
            )
    for name in fine_tuned:
        check.check_choice(name, "fine_tuned", tuple(encoders))


def _pca(x, encoder):
    """PCA features as many as the code's entries, as a function."""
    width = min(encoder.output_shape[-1], *np.shape(x.reshape(len(x), -1)))
    pca = PCA(width, random_state=0).fit(x.reshape(len(x), -1))
    basis, mean = pca.components_.T, pca.mean_

    def features(rows):
        rows = np.asarray(rows)
        return (rows.reshape(len(rows), -1) - mean) @ basis

    return features


# ------------------------------------------------ the rows of the table


@dataclasses.dataclass(frozen=True)
class _Schedule:
    """How long and in what batches each network is trained."""

    updates: int
    batch_size: int
    head_rate: float
    rate: float
    tuned_rate: float
    augmentation: object
    seed: int


class _Runs:
    """All draws and budgets of one row of the table, each a method."""

    def __init__(self, split, classes, labelled, schedule):
        self.x, self.y, self.x_eval, self.y_eval = split
        self.classes = classes
        self.labelled = labelled
        self.plan = schedule
        self.network = None

    def _batches(self, budget, draw, updates, part):
        """Rows of all steps, augmented, and their labels."""
        rows = self.labelled[budget][draw]
        rng = np.random.default_rng([self.plan.seed, draw, part])
        order = update_rows(len(rows), updates, self.plan.batch_size, rng)
        x, y = self.x[rows[order]], self.y[rows[order]]
        if self.plan.augmentation is not None:
            x = in_batches(
                lambda b: self.plan.augmentation(b, training=True), x
            )
        return x, y

    def _head(self, encoder, codes_of, budget, draw, updates):
        """A head trained on frozen codes."""
        if self.plan.augmentation is None:  # encode each row once
            rows = self.labelled[budget][draw]
            rng = np.random.default_rng([self.plan.seed, draw, 0])
            order = update_rows(len(rows), updates, self.plan.batch_size, rng)
            codes, y = codes_of(self.x[rows])[order], self.y[rows[order]]
        else:
            x, y = self._batches(budget, draw, updates, 0)
            codes = codes_of(x)
        plan = self.plan
        return fit_head(codes, y, self.classes, plan.batch_size, plan.head_rate)

    def _over_draws(self, encoders, run):
        """Call run for every draw and budget; accuracies (budgets, draws)."""
        found = np.zeros((len(self.labelled), len(encoders)))
        codes_of, last = None, None
        for draw, encoder in enumerate(encoders):
            if encoder is not last:
                codes_of = _StandardCodes(encoder, self.x[:_STATISTICS])
                last = encoder
            for budget in range(len(self.labelled)):
                logits = run(encoder, codes_of, budget, draw)
                found[budget, draw] = np.mean(
                    logits.argmax(axis=1) == self.y_eval
                )
        return found

    def frozen(self, encoders):
        """One head after another on the codes of each draw's encoder."""
        cache = {}

        def run(encoder, codes_of, budget, draw):
            kernel, bias = self._head(
                encoder, codes_of, budget, draw, self.plan.updates
            )
            if id(encoder) not in cache:
                cache.clear()
                cache[id(encoder)] = codes_of(self.x_eval)
            return cache[id(encoder)] @ kernel + bias

        return self._over_draws(encoders, run)

    def _start(self, encoder, codes_of, rate):
        """The compiled network with this encoder and a head of zeros."""
        if self.network is None:
            self.network = transfer(encoder, self.classes, x=self.x[:64])
            compile_classifier(self.network, rate)
        recipes.forget(self.network.optimizer)
        self.network.optimizer.learning_rate = rate
        self.network.get_layer("encoder").set_weights(encoder.get_weights())
        standardize = self.network.get_layer("standardize")
        standardize.set_weights([codes_of.mean, codes_of.scale])
        head = self.network.get_layer("head")
        head.set_weights([np.zeros_like(w) for w in head.get_weights()])
        return self.network, head

    def _train(self, budget, draw, updates, part):
        x, y = self._batches(budget, draw, updates, part)
        self.network.fit(
            x, y, batch_size=self.plan.batch_size, shuffle=False, verbose=0
        )
        return in_batches(self.network, self.x_eval)

    def scratch(self, encoders):
        """Everything trained on the labelled rows from the first update."""

        def run(encoder, codes_of, budget, draw):
            self._start(encoder, codes_of, self.plan.rate)
            return self._train(budget, draw, self.plan.updates, 0)

        return self._over_draws(encoders, run)

    def tuned(self, encoders):
        """Half of the updates for the head alone, half for everything."""
        half = self.plan.updates // 2

        def run(encoder, codes_of, budget, draw):
            trained = self._head(encoder, codes_of, budget, draw, half)
            _, head = self._start(encoder, codes_of, self.plan.tuned_rate)
            head.set_weights(trained)
            return self._train(budget, draw, self.plan.updates - half, 1)

        return self._over_draws(encoders, run)


class _StandardCodes:
    """Codes of mean 0 and mean square 1, by the unlabelled rows."""

    def __init__(self, encoder, x):
        self.encoder = encoder
        self.mean, self.scale = mean_and_size(self._codes(x))

    def _codes(self, x):
        if isinstance(self.encoder, keras.layers.Layer):
            return in_batches(self.encoder, x)
        return self.encoder(x).astype("float32")

    def __call__(self, x):
        return (self._codes(x) - self.mean) / self.scale


# -------------------------------------------------------------- two probes


def linear_probe(z_train, y_train, z_test, y_test, *, penalty=1.0):
    """Held-out accuracy of a logistic regression on fixed codes.

    Args:
        z_train: Codes ``(n, k)`` of labelled rows; mean and size are removed.
        y_train: Integer labels ``(n,)``, at least two classes.
        z_test: Codes ``(m, k)`` of held-out rows.
        y_test: Integer labels ``(m,)``.
        penalty: Weight ≥ 0 of ½‖W‖² beside the summed cross-entropy.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: codes of different width, labels of another length, one
            class only.
    """
    arrays = _probe_arrays(z_train, y_train, z_test, y_test)
    z_train, y_train, z_test, y_test = arrays
    if len(np.unique(y_train)) < 2:
        check.fail("y_train", "at least two classes", f"{np.unique(y_train)}")
    penalty = max(check.check_number(penalty, "penalty", 0.0), 1e-6)
    model = LogisticRegression(C=1.0 / penalty, max_iter=1000)
    return float(model.fit(z_train, y_train).score(z_test, y_test))


def knn_probe(z_train, y_train, z_test, y_test, *, k=5):
    """Held-out accuracy of a vote of the k nearest labelled codes.

    Nearness is cosine similarity of centred codes. It learns nothing, so it
    says what distances between codes mean as they are.

    Args:
        z_train: Codes ``(n, width)`` of labelled rows.
        y_train: Integer labels ``(n,)``.
        z_test: Codes ``(m, width)`` of held-out rows.
        y_test: Integer labels ``(m,)``.
        k: Number of neighbours, from 1 to n.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: codes of different width, labels of another length, more
            neighbours than rows.
    """
    arrays = _probe_arrays(z_train, y_train, z_test, y_test)
    z_train, y_train, z_test, y_test = arrays
    k = check.check_int(k, "k", 1, len(z_train))
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
    return float(model.fit(z_train, y_train).score(z_test, y_test))


def _probe_arrays(z_train, y_train, z_test, y_test):
    z_train = check.check_array(z_train, "z_train", ndim=2, min_rows=2)
    width = z_train.shape[1:]
    z_test = check.check_array(z_test, "z_test", ndim=2, event_shape=width)
    y_train = check.check_labels(y_train, "y_train", len(z_train))
    y_test = check.check_labels(y_test, "y_test", len(z_test))
    mean, scale = mean_and_size(z_train)
    return (z_train - mean) / scale, y_train, (z_test - mean) / scale, y_test
