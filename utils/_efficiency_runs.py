"""The runs behind a label-efficiency table: draws, budgets, schedules."""

import dataclasses

import keras
import numpy as np

from utils._batches import in_batches
from utils._classifiers import compile_classifier, fit_head, update_rows
from utils.pretraining import transfer

_STATISTICS = 5000  # unlabelled rows behind the mean and size of codes


@dataclasses.dataclass(frozen=True)
class Schedule:
    updates: int
    batch_size: int
    head_rate: float
    rate: float
    tuned_rate: float
    augmentation: object
    seed: int


class Runs:
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
                codes_of, last = (
                    StandardizedCodes(encoder, self.x[:_STATISTICS]),
                    encoder,
                )
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
        for variable in self.network.optimizer.variables:
            variable.assign(np.zeros(variable.shape))  # moments, step count
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


class StandardizedCodes:
    """Codes of mean 0 and mean square 1, by the unlabelled rows."""

    def __init__(self, encoder, x):
        self.encoder = encoder
        codes = self._codes(x)
        self.mean = codes.mean(axis=0)
        self.scale = np.float32(max((codes - self.mean).std(), 1e-6))

    def _codes(self, x):
        if isinstance(self.encoder, keras.layers.Layer):
            return in_batches(self.encoder, x)
        return self.encoder(x).astype("float32")

    def __call__(self, x):
        return (self._codes(x) - self.mean) / self.scale
