"""Verbs of the variational models, without classes and with them."""

import numpy as np

from utils.models._variational import VariationalModel
from utils.support import validation as check
from utils.support.batches import in_batches


def _given(*arrays):
    return [array for array in arrays if array is not None]


class LatentModel(VariationalModel):
    """Verbs of a variational model, with or without classes."""

    def encode(self, x, labels=None):
        """Means of q(z | x): float32 array ``(n, latent_dim)``.

        ``labels`` ``(n,)`` is for models that know classes.
        """
        x = check.check_array(x, "x", event_shape=self.event_shape)
        one_hot = self._classes_of(x, labels)
        return in_batches(
            lambda *rows: self.posterior(*rows)["mean"], *_given(x, one_hot)
        )

    def decode(self, z, labels=None):
        """Means of p(x | z): float32 array ``(n, *input_shape)``."""
        z = check.check_array(z, "z", event_shape=(self.latent_dim,))
        return in_batches(
            lambda *rows: self.decoder_outputs(*rows)["reconstruction"],
            *_given(z, self.one_hot(labels, len(z))),
        )

    def _classes_of(self, x, labels):
        """One-hot rows for x; a model that can infer them overrides this."""
        return self.one_hot(labels, len(x))

    def reconstruct(self, x, labels=None):
        """Decode the means of q(z | x), without noise; shape of x."""
        return self.decode(self.encode(x, labels), labels)

    def sample(self, n, labels=None, *, seed=None):
        """Decode n draws from the prior: means of p(x | z), not pixels drawn.

        Args:
            n: Number of samples.
            labels: One class for all, or one for each, for models that know
                classes.
            seed: Integer seed, the same draws on every backend. ``None``
                goes on with the model's own generator.

        Returns:
            Float32 array ``(n, *input_shape)``.
        """
        n = check.check_int(n, "n")
        rng = self.generator(seed)
        z = rng.standard_normal((n, self.latent_dim), dtype="float32")
        return self.decode(z, self._labels_to_sample(labels, n, rng))

    def _labels_to_sample(self, labels, n, rng):
        return labels

    def elbo(self, x, num_samples=1, *, labels=None, seed=None):
        """Evidence lower bound of each example, ``(n,)``, in nats.

        E_q[log p(x | z)] by ``num_samples`` draws, the KL in closed form,
        whatever β is.
        """
        return self._estimate(x, num_samples, labels, seed)[0]

    def log_likelihood(self, x, num_samples=100, *, labels=None, seed=None):
        """Importance-weighted lower bound of log p(x), ``(n,)``, in nats.

        log 1/S Σ_s p(x | z_s) p(z_s) / q(z_s | x), z_s ~ q (Burda et al.
        2016). Its expectation grows with the number S of samples towards
        log p(x); S = 1 is the ELBO. Memory does not grow with S.

        Args:
            x: Array ``(n, *input_shape)``, in the range of the likelihood.
            num_samples: S ≥ 1.
            labels: Classes ``(n,)``, for models that know classes.
            seed: Integer seed, or ``None``.

        Returns:
            Float64 array ``(n,)``.
        """
        return self._estimate(x, num_samples, labels, seed)[1]

    def _estimate(self, x, num_samples, labels, seed):
        x = self._check(x)
        num_samples = check.check_int(num_samples, "num_samples")
        one_hot = self.one_hot(labels, len(x))
        return self.bounds(x, one_hot, num_samples, self.generator(seed))

    def score(self, x, labels=None, *, seed=None):
        """−ELBO of each example by one draw, ``(n,)``, in nats."""
        return -self.elbo(x, labels=labels, seed=seed).astype("float32")

    def get_config(self):
        names = (
            "latent_dim",
            "network",
            "activation",
            "likelihood",
            "scale",
            "levels",
            "beta",
            "free_bits",
            "warmup_steps",
            "seed",
        )
        return {
            **super().get_config(),
            "input_shape": list(self.event_shape),
            "widths": list(self.widths),
            **{name: getattr(self, name) for name in names},
        }


class LabelledModel(LatentModel):
    """What models that see ``{"x", "label"}`` share: packing and checks."""

    lowest_label = 0  # -1 where a label may be missing

    def _set_classes(self, num_classes):
        num_classes = check.check_int(num_classes, "num_classes", minimum=2)
        self.make_networks(num_classes)

    def check_classes(self, labels, name, rows, low=0):
        """Labels as int64 vector from ``low`` to num_classes − 1."""
        wanted = f"integers from {low} to {self.num_classes - 1}, one a row"
        if labels is None:
            check.fail(name, wanted, "None")
        labels = check.check_labels(labels, name, num_rows=rows)
        if labels.min() < low or labels.max() >= self.num_classes:
            check.fail(
                name, wanted, f"values from {labels.min()} to {labels.max()}"
            )
        return labels

    def one_hot(self, labels, rows):
        labels = self.check_classes(labels, "labels", rows)
        return np.eye(self.num_classes, dtype="float32")[labels]

    def _labels_to_sample(self, labels, n, rng):
        if np.ndim(labels) == 0 and labels is not None:
            return np.full(n, labels)
        return labels

    def _pack(self, x, y, name="x", label_name="y"):
        """Arrays as the dict that ``call`` takes; data sets as they are."""
        if isinstance(x, dict):
            x, y = x.get("x"), x.get("label", y)
        elif not check.is_array(x):
            return x
        x = self._check(x, name)
        low = self.lowest_label
        return {"x": x, "label": self.check_classes(y, label_name, len(x), low)}

    def fit(self, x=None, y=None, *args, validation_data=None, **kwargs):
        """As ``keras.Model.fit``, for x and classes y, both checked first.

        A data set yields tuples of one dict, ``({"x": …, "label": …},)``.
        """
        if check.is_array(validation_data):
            if len(validation_data) not in (2, 3):
                check.fail(
                    "validation_data",
                    "(x, y) or (x, y, sample_weight)",
                    f"{len(validation_data)} entries",
                )
            rows, labels, *weight = validation_data
            rows = self._pack(rows, labels, "validation_data", "validation_y")
            validation_data = (rows, None, *weight)
        return super().fit(
            self._pack(x, y),
            None,
            *args,
            validation_data=validation_data,
            **kwargs,
        )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As ``keras.Model.evaluate``, for x and classes y."""
        return super().evaluate(self._pack(x, y), None, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As ``keras.Model.predict``, for ``{"x": x, "label": y}``."""
        if isinstance(x, dict) or check.is_array(x):
            x = self._pack(x, None)
        return super().predict(x, *args, **kwargs)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
