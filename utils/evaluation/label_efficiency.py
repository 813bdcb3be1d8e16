"""How many labels is a pretrained encoder worth? A race, with controls.

Everything that could favour one contender is held equal: labelled rows,
views, order of batches, head, optimiser, and the rule by which the number of
updates is chosen.
"""

import math

import keras
import numpy as np
from keras import ops
from scipy import stats
from sklearn.linear_model import LogisticRegression

from utils.support import validation as check
from utils.support.batches import in_batches
from utils.training import recipes
from utils.training.classifiers import fit_heads, mean_and_size, update_rows
from utils.training.pretraining import transfer

__all__ = [
    "LabelRace",
    "draw_labelled",
    "linear_probe",
    "paired_interval",
    "probe_draws",
]

_STATISTICS = 5000  # unlabelled rows behind the mean and size of codes
_STEP = 0.01  # a gain in validation accuracy below this is none


class LabelRace:
    """Accuracy against the number of labels, contender by contender.

    Each contender learns from the same labelled rows, drawn several times,
    by Adam in the same batches, and says at several numbers of updates what
    it gets right on validation rows. Of these numbers the **smallest** counts
    whose accuracy, averaged over the draws, is within a point of the
    best: if that is the largest, accuracy was still rising and the race was
    too short for this contender. Then, once, the test rows.

    >>> race = LabelRace(split, budgets=(1, 10))  # doctest: +SKIP
    >>> race.frozen("pixels", keras.layers.Flatten())  # doctest: +SKIP
    >>> race.tuned("SimCLR, tuned", simclr.encoder)  # doctest: +SKIP
    >>> race.interval("SimCLR, tuned", "pixels", 10)  # doctest: +SKIP

    Args:
        split: ``(x_train, y_train, x_val, y_val, x_test, y_test)``. Labels
            are drawn from the training rows. Means and sizes of codes are
            taken from training rows without labels.
        budgets: Labels a class, ascending; draws are nested.
        draws: Number of draws of labelled rows ≥ 2.
        updates: Numbers of updates of a whole network, ascending, at least
            two.
        head_updates: Those of a head on frozen codes.
        limit: While a network's accuracy is still rising at the last of its
            updates, that number is doubled, up to here; ``None`` never does.
        views: Layer that draws random views of images, or ``None``: then no
            contender may ask for them.
        pool: Number of views of the labelled rows of a draw, at least four
            of each row. They are drawn once, for all contenders.
        batch_size: Labelled rows a step.
        head_rate: Adam's rate for heads.
        seed: Integer ≥ 0 of draws and batches.

    Attributes:
        accuracy: Dict of name to array ``(budgets, draws)``, test rows.
        curves: Dict of name to a list, for each budget an array
            ``(draws, stops)``: accuracy on validation rows.
        chosen: Dict of name to list: updates chosen for each budget.
        risen: Dict of name to list of bools: the largest number was chosen.
        labelled: For each budget an array ``(draws, budget · classes)``: row
            numbers within ``x_train`` that were labelled.

    Raises:
        ValueError: arrays of different shape, labels out of range, a class
            with fewer rows than a budget.
    """

    def __init__(
        self,
        split,
        *,
        budgets=(1, 5, 20),
        draws=5,
        updates=(50, 100, 200, 400),
        head_updates=(25, 50, 100, 200, 400, 800),
        limit=None,
        views=None,
        pool=2000,
        batch_size=32,
        head_rate=1e-2,
        seed=0,
    ):
        split, self.classes = _check_split(split)
        self.x, self.y, self.x_val, self.y_val, self.x_test, self.y_test = split
        self.budgets = check.check_widths(budgets, "budgets")
        self.draws = check.check_int(draws, "draws", 2)
        self.updates = _check_ladder(updates, "updates")
        self.head_updates = _check_ladder(head_updates, "head_updates")
        self.limit = self.updates[-1]
        if limit is not None:
            self.limit = check.check_int(limit, "limit", self.limit)
        self.views = views
        self.pool = check.check_int(pool, "pool")
        self.batch_size = check.check_int(batch_size, "batch_size")
        self.head_rate = check.check_number(head_rate, "head_rate", 0.0)
        self.seed = check.check_int(seed, "seed", minimum=0)
        self.labelled = draw_labelled(
            self.y, self.budgets, draws=self.draws, seed=self.seed
        )
        self.accuracy, self.curves, self.chosen = {}, {}, {}
        self.risen, self._viewed, self._fitted = {}, {}, {}
        self._coded, self._networks = [], []

    # -------------------------------------------------------- contenders

    def frozen(self, name, encoder, *, views=False):
        """A softmax layer on codes that stay as they are.

        Args:
            name: Row of the table.
            encoder: Layer, model or function rows → codes; or a list of
                them, one a draw.
            views: Learn from views of the labelled rows, too.
        """
        coders = self._coders(encoder)
        self._enter(name, views)
        for budget in range(len(self.budgets)):
            heads, curve = self._heads(coders, budget, views)
            best = self._choose(name, curve.T, self.head_updates)
            self._score(
                name,
                [
                    coder.test @ head[:-1] + head[-1]
                    for coder, head in zip(coders, heads[best], strict=True)
                ],
            )

    def tuned(self, name, encoder, *, views=False, rate=3e-4, warm=True):
        """A whole network, started at an encoder.

        Args:
            name: Row of the table.
            encoder: Keras model, or a list of them, one a draw.
            views: Learn from views of the labelled rows, too.
            rate: Adam's learning rate for all weights.
            warm: Start with a head that was trained on the frozen codes (its
                updates chosen as in :meth:`frozen`); else at zeros, as one
                does from scratch.
        """
        coders = self._coders(encoder)
        self._enter(name, views)
        for budget in range(len(self.budgets)):
            start = np.zeros(
                (self.draws, coders[0].val.shape[1] + 1, self.classes)
            )
            if warm:
                heads, scores = self._heads(coders, budget, views)
                start = heads[_first_of_the_best(scores.mean(axis=1))]
            first = coders[0]
            network, _ = first.traced or self.network_of(first.encoder)
            states = [
                self._start(network, coder, head, rate)
                for coder, head in zip(coders, start, strict=True)
            ]
            kept, curve, done = [], [], 0
            ladder = list(self.updates)
            while len(curve) < len(ladder):  # it grows while accuracy does
                stops = ladder[len(curve) :]
                runs = []
                for draw, state in enumerate(states):
                    rows = self._rows(budget, draw, views)
                    runs.append(self._go_on(network, state, rows, done, stops))
                done, states = stops[-1], [run[-1] for run in runs]
                weights = len(network.weights)
                for at_stop in zip(*runs, strict=True):
                    kept.append([state[:weights] for state in at_stop])
                    curve.append(
                        [self._validated(network, v) for v in kept[-1]]
                    )
                rising = _first_of_the_best(np.mean(curve, 1)) == len(curve) - 1
                if rising and 2 * done <= self.limit:
                    ladder.append(2 * done)
            best = self._choose(name, np.array(curve).T, ladder)
            self._score(
                name,
                [self._logits(network, w, self.x_test) for w in kept[best]],
            )

    # ----------------------------------------------------------- results

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
        index = self._index(budget)
        return self.accuracy[name][index] - self.accuracy[other][index]

    def interval(self, name, other, budget):
        """:func:`paired_interval` of :meth:`margin`: mean, lower, upper."""
        return paired_interval(self.margin(name, other, budget))

    def worth(self, name, other, budget):
        """Labels that another contender needs for the same accuracy.

        Draw by draw, the accuracies of the other contender are joined by
        straight lines over the logarithm of the budget.

        Returns:
            Array ``(draws,)``: labels a class. Below the first budget or
            above the last one nothing was measured: 0 or ∞ there.
        """
        reached = self.accuracy[name][self._index(budget)]
        sizes = np.log(self.budgets)
        found = []
        for draw, level in enumerate(reached):
            line = np.maximum.accumulate(self.accuracy[other][:, draw])
            line = line + 1e-9 * np.arange(len(line))
            here = np.interp(level, line, sizes, left=-np.inf, right=np.inf)
            found.append(np.exp(here))
        return np.array(found)

    # ------------------------------------------------------ how they run

    def _enter(self, name, views):
        if name in self.accuracy:
            check.fail("name", "one that is not in the race yet", repr(name))
        if views and self.views is None:
            check.fail("views", "False: the race was given no views", "True")
        self.curves[name], self.chosen[name], self.accuracy[name] = [], [], []

    def _index(self, budget):
        if budget not in self.budgets:
            check.fail("budget", f"one of {self.budgets}", f"{budget}")
        return self.budgets.index(budget)

    def _coders(self, encoder):
        """What turns rows to standardised codes, one a draw."""
        several = isinstance(encoder, (list, tuple))
        if several and len(encoder) != self.draws:
            check.fail("encoder", f"{self.draws}, one a draw", len(encoder))
        if not several:
            return [self._coder(encoder)] * self.draws
        return [self._coder(one) for one in encoder]

    def _coder(self, encoder):
        """The coder of one encoder, made once as long as its weights stay."""
        if not isinstance(encoder, keras.layers.Layer):
            return _Coder(encoder, self)
        weights = encoder.get_weights()
        for known, seen, coder in self._coded:
            if known is encoder and all(map(np.array_equal, seen, weights)):
                return coder
        coder = _Coder(encoder, self)
        self._coded.append((encoder, weights, coder))
        return coder

    def _rows(self, budget, draw, views):
        """Rows to learn from, their labels, and the rows of each step."""
        key = budget, draw, views
        if key not in self._viewed:
            rows = self.labelled[budget][draw]
            x, y = self.x[rows], self.y[rows]
            if views:
                copies = max(4, self.pool // len(x))
                drawn = np.tile(x, (copies, *(1,) * (x.ndim - 1)))
                drawn = in_batches(
                    lambda part: self.views(part, training=True), drawn
                )
                x = np.concatenate([x, drawn])
                y = np.tile(y, copies + 1)
            rng = np.random.default_rng([self.seed, draw, budget])
            steps = max(self.limit, self.head_updates[-1])
            order = update_rows(len(x), steps, self.batch_size, rng)
            order = order.reshape(steps, self.batch_size)
            self._viewed[key] = x, y, order
        return self._viewed[key]

    def _heads(self, coders, budget, views):
        """Heads on frozen codes, and their accuracy on validation rows.

        Arrays ``(stops, draws, k + 1, classes)`` and ``(stops, draws)``.
        """
        key = (*coders, budget, views)
        if key in self._fitted:
            return self._fitted[key]
        rows = [self._rows(budget, d, views) for d in range(self.draws)]
        codes = [
            coder(x) for coder, (x, _, _) in zip(coders, rows, strict=True)
        ]
        heads = fit_heads(
            np.stack(codes),
            np.stack([y for _, y, _ in rows]),
            np.stack([order for _, _, order in rows]),
            self.classes,
            rate=self.head_rate,
            stops=self.head_updates,
        )
        curve = [
            [
                _accuracy(coder.val @ head[:-1] + head[-1], self.y_val)
                for coder, head in zip(coders, stop, strict=True)
            ]
            for stop in heads
        ]
        self._fitted[key] = heads, np.array(curve)
        return self._fitted[key]

    def network_of(self, encoder):
        """One compiled classifier for all encoders of an architecture."""
        form = [(w.path, tuple(w.shape)) for w in encoder.weights]
        for known, network, reader in self._networks:
            if known == form:  # of the same weights, but the same function?
                network.get_layer("encoder").set_weights(encoder.get_weights())
                found = reader.predict_on_batch(self.x[:8])
                codes = ops.convert_to_numpy(encoder(self.x[:8]))
                if np.allclose(found, codes, rtol=1e-3, atol=1e-4):
                    return network, reader
        network = transfer(encoder, self.classes, x=self.x[:64])
        several = recipes.steps_at_once() > 1
        network.compile(
            recipes.adam(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=math.gcd(*self.updates) if several else 1,
        )
        network.optimizer.build(network.trainable_variables)
        codes = network.get_layer("standardize").input
        reader = keras.Model(network.inputs, codes)
        self._networks.append((form, network, reader))
        return network, reader

    def _start(self, network, coder, head, rate):
        """Values of all weights and the optimizer's variables at the start."""
        recipes.forget(network.optimizer)
        network.optimizer.learning_rate = rate
        network.get_layer("encoder").set_weights(coder.encoder.get_weights())
        network.get_layer("standardize").set_weights([coder.mean, coder.scale])
        network.get_layer("head").set_weights([head[:-1], head[-1]])
        return _values(network)

    def _go_on(self, network, state, rows, done, stops):
        """The same after ``stops`` updates, when ``done`` are behind it."""
        for variable, value in zip(_state_of(network), state, strict=True):
            variable.assign(value)
        x, y, order = rows
        piece = 4 * math.gcd(*self.updates)  # gathered rows take memory
        kept = []
        for first in range(done, stops[-1], piece):
            taken = order[first : min(first + piece, stops[-1])].ravel()
            keeper = _Keeper([stop - first for stop in stops])
            network.fit(
                x[taken],
                y[taken],
                batch_size=self.batch_size,
                shuffle=False,
                verbose=0,
                callbacks=[keeper],
            )
            kept += keeper.kept
        return kept

    def _logits(self, network, weights, x):
        network.set_weights(weights)
        return in_batches(network.predict_on_batch, x, batch_size=256)

    def _validated(self, network, weights):
        logits = self._logits(network, weights, self.x_val)
        return _accuracy(logits, self.y_val)

    def _choose(self, name, curve, ladder):
        """Index of the updates that count, by validation rows alone."""
        self.curves[name].append(curve)
        best = _first_of_the_best(curve.mean(axis=0))
        self.chosen[name].append(ladder[best])
        self.risen.setdefault(name, []).append(best == len(ladder) - 1)
        return best

    def _score(self, name, all_logits):
        found = [_accuracy(logits, self.y_test) for logits in all_logits]
        self.accuracy[name].append(found)
        if len(self.accuracy[name]) == len(self.budgets):
            self.accuracy[name] = np.array(self.accuracy[name])


def paired_interval(differences):
    """Mean of paired differences and its 95 % interval, by Student's t.

    Args:
        differences: Numbers ``(n,)``, one a pair, n ≥ 2.

    Returns:
        ``(mean, lower, upper)``.

    Example:

    >>> [round(float(v), 2) for v in paired_interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    values = check.check_array(differences, "differences", ndim=1, min_rows=2)
    values = values.astype("float64")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1)
    half /= np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


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
        expected = f"at most {counts.min()} labels a class, as the rarest has"
        check.fail("budgets", expected, f"{max(budgets)}")
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
    if not isinstance(split, tuple) or len(split) != 6:
        expected = "(x_train, y_train, x_val, y_val, x_test, y_test)"
        check.fail("split", expected, type(split).__name__)
    x_train, y_train, x_val, y_val, x_test, y_test = split
    x_train = check.check_array(x_train, "x_train", min_rows=2)
    event = x_train.shape[1:]
    y_train = check.check_labels(y_train, "y_train", len(x_train))
    classes = int(y_train.max()) + 1
    check.check_labels(y_train, "y_train", num_classes=classes)
    held_out = []
    for part, x, y in (("val", x_val, y_val), ("test", x_test, y_test)):
        x = check.check_array(x, f"x_{part}", event_shape=event)
        held_out += [x, check.check_labels(y, f"y_{part}", len(x), classes)]
    return (x_train, y_train, *held_out), classes


def _check_ladder(updates, name):
    ladder = check.check_widths(updates, name)
    if len(ladder) < 2 or list(ladder) != sorted(set(ladder)):
        check.fail(name, "two ascending numbers or more", f"{ladder}")
    return ladder


def _first_of_the_best(scores):
    """Index of the first score that is nearly the largest."""
    scores = np.asarray(scores)
    return int(np.argmax(scores >= scores.max() - _STEP))


def _accuracy(logits, y):
    return np.mean(logits.argmax(axis=1) == y)


def _state_of(network):
    return [*network.weights, *network.optimizer.variables]


class _Keeper(keras.callbacks.Callback):
    """Keeps weights and the optimizer's variables after some updates."""

    def __init__(self, stops):
        super().__init__()
        self.stops, self.kept = stops, []

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 in self.stops:
            self.kept.append(_values(self.model))


def _values(network):
    return [ops.convert_to_numpy(v).copy() for v in _state_of(network)]


class _Coder:
    """Codes of mean 0 and mean square 1, by the unlabelled rows."""

    def __init__(self, encoder, race):
        self.encoder, self.traced = encoder, None
        if isinstance(encoder, keras.Model):
            shape, rows = tuple(encoder.input_shape[1:]), race.x.shape[1:]
            if not check.fits(rows, shape):
                check.fail("encoder", f"inputs {rows}", shape)
            self.traced = race.network_of(encoder)
        self.mean, self.scale = mean_and_size(self._codes(race.x[:_STATISTICS]))
        self.val, self.test = self(race.x_val), self(race.x_test)

    def _codes(self, x):
        if self.traced:  # half the time of a call of the encoder itself
            network, reader = self.traced
            inner = network.get_layer("encoder")
            inner.set_weights(self.encoder.get_weights())
            return in_batches(reader.predict_on_batch, x, batch_size=256)
        if isinstance(self.encoder, keras.layers.Layer):
            return in_batches(self.encoder, x)
        return self.encoder(x).astype("float32")

    def __call__(self, x):
        return (self._codes(x) - self.mean) / self.scale


# --------------------------------------------------------------- the probe


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
    z_train = check.check_array(z_train, "z_train", ndim=2, min_rows=2)
    width = z_train.shape[1:]
    z_test = check.check_array(z_test, "z_test", ndim=2, event_shape=width)
    y_train = check.check_labels(y_train, "y_train", len(z_train))
    y_test = check.check_labels(y_test, "y_test", len(z_test))
    if len(np.unique(y_train)) < 2:
        check.fail("y_train", "at least two classes", f"{np.unique(y_train)}")
    penalty = max(check.check_number(penalty, "penalty", 0.0), 1e-6)
    mean, scale = mean_and_size(z_train)
    z_train, z_test = (z_train - mean) / scale, (z_test - mean) / scale
    model = LogisticRegression(C=1.0 / penalty, max_iter=1000)
    return float(model.fit(z_train, y_train).score(z_test, y_test))


def probe_draws(code, train, drawn, test):
    """:func:`linear_probe` of each draw of labelled rows: ``(draws,)``.

    Args:
        code: Function or model, rows → codes ``(n, k)``.
        train: Pair of training rows and integer labels.
        drawn: Row numbers to label, ``(draws, rows)``.
        test: Pair of held-out rows and their labels.
    """
    (x_train, y_train), (x_test, y_test) = train, test
    z_test = ops.convert_to_numpy(code(x_test))
    found = [
        linear_probe(
            ops.convert_to_numpy(code(x_train[rows])),
            y_train[rows],
            z_test,
            y_test,
        )
        for rows in drawn
    ]
    return np.array(found)
