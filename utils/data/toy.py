"""Makers of the toy sets: ``(n, noise, generator)`` to ``(x, y)``."""

import numpy as np

from utils.support import validation as check

# scikit-learn's make_moons, make_circles and make_swiss_roll draw others (and
# moons and circles on a grid): every committed number would move.

__all__ = [
    "TOY_MAKERS",
    "moons_log_density",
]


def _half_circles(t):
    """Points ``(n, 2)`` of both moons at angles t from 0 to pi."""
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    return upper, np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=1)


def _moons(n, noise, rng):
    y = np.arange(n) % 2
    t = rng.uniform(0, np.pi, n)
    upper, lower = _half_circles(t)
    x = np.where(y[:, None] == 0, upper, lower)
    return x + noise * rng.standard_normal(x.shape), y


def _rings(n, noise, rng):
    y = np.arange(n) % 2
    t = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 0, 1.0, 2.0)[:, None]
    x = radius * np.stack([np.cos(t), np.sin(t)], axis=1)
    return x + noise * rng.standard_normal(x.shape), y


def _gaussians(n, noise, rng):
    y = np.arange(n) % 8
    t = 2 * np.pi * y / 8
    x = 2.0 * np.stack([np.cos(t), np.sin(t)], axis=1)
    return x + noise * rng.standard_normal(x.shape), y


def _line(n, noise, rng):
    t = rng.uniform(-1, 1, n)
    x = t[:, None] * np.array([[2.0, 1.0]])
    return x + noise * rng.standard_normal(x.shape), t > 0


def _swiss_roll(n, noise, rng):
    u = rng.uniform(0, 1, n)
    t = 1.5 * np.pi * (1 + 2 * u)
    x = np.stack([t * np.cos(t), 21 * rng.uniform(0, 1, n), t * np.sin(t)], 1)
    return x + noise * rng.standard_normal(x.shape), np.floor(5 * u)


def _subspace(n, noise, rng):
    basis, _ = np.linalg.qr(rng.standard_normal((20, 5)))
    codes = rng.standard_normal((n, 5)) * np.array([3.0, 2.5, 2.0, 1.6, 1.3])
    x = codes @ basis.T
    return x + noise * rng.standard_normal(x.shape), np.zeros(n)


TOY_MAKERS = {
    "moons": (_moons, 0.08),
    "rings": (_rings, 0.08),
    "gaussians": (_gaussians, 0.1),
    "line": (_line, 0.1),
    "swiss_roll": (_swiss_roll, 0.0),
    "subspace": (_subspace, 0.3),
}


def moons_log_density(x, *, noise=None):
    """True log-density of the moons at points ``(n, 2)``: ``(n,)``, in nats.

    p(x) = ½ Σ_moon 1/π ∫_0^π N(x; c_moon(t), noise² I) dt: a half circle
    blurred. The integral by Gauss–Legendre on 256 nodes, whose error is
    below 1e-6 from a noise of 0.02 on.

    Args:
        x: Points ``(n, 2)``.
        noise: Standard deviation ≥ 0.02; ``None`` takes the set's default.

    Returns:
        Float64 array ``(n,)``.

    Raises:
        ValueError: points of another shape, NaN, too little noise.
    """
    x = check.check_array(x, "x", event_shape=(2,), dtype="float64")
    noise = TOY_MAKERS["moons"][1] if noise is None else noise
    noise = check.check_number(noise, "noise", 0.02)
    nodes, weights = np.polynomial.legendre.leggauss(256)
    t = np.pi / 2 * (nodes + 1)  # from 0 to pi, weights of sum 2
    upper, lower = _half_circles(t)
    squared = np.stack(
        [((x[:, None] - curve) ** 2).sum(axis=2) for curve in (upper, lower)],
        axis=1,
    )  # (n, 2, nodes)
    joint = np.log(weights / 4) - squared / (2 * noise**2)
    total = np.logaddexp.reduce(joint.reshape(len(x), -1), axis=1)
    return total - np.log(2 * np.pi * noise**2)
