"""A distribution over rows of indices: independent cells, or a tree of them.

A row has ``cells`` indices from 0 to ``size`` − 1. Each cell depends on its
parent alone; the root, or a cell without a parent, is its own. The rows of a
table are then all the same.
"""

import numpy as np
from scipy.sparse import csgraph


def _pair_counts(first, second, size):
    """How often each pair of indices occurs, float64 ``(size, size)``."""
    flat = np.bincount(first * size + second, minlength=size * size)
    return flat.reshape(size, size).astype("float64")


def _chow_liu(ids, size):
    """Order and parents of the tree of largest mutual information.

    Mutual informations are those of the observed frequencies; the root is
    cell 0.
    """
    cells = ids.shape[1]
    weights = np.zeros((cells, cells))
    for a in range(cells):
        for b in range(a):
            joint = _pair_counts(ids[:, a], ids[:, b], size) / len(ids)
            product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
            there = joint > 0
            weights[a, b] = np.sum(
                joint[there] * np.log(joint[there] / product[there])
            )
    # the spanning tree is a minimum; an entry of 0 would mean "no edge"
    costs = np.tril(weights.max() + 1.0 - weights, -1)
    tree = csgraph.minimum_spanning_tree(costs)
    order, parents = csgraph.breadth_first_order(tree, 0, directed=False)
    parents[0] = 0
    return order, parents


def fit(ids, size, tree, smoothing):
    """Order, parents ``(cells,)`` and tables ``(cells, size, size)``.

    ``tables[cell, a, b]`` is P(cell = b | parent = a), counted with
    ``smoothing`` imagined rows of the cell's own frequencies.
    """
    cells = ids.shape[1]
    order, parents = np.arange(cells), np.arange(cells)
    if tree and cells > 1:
        order, parents = _chow_liu(ids, size)
    tables = np.empty((cells, size, size), "float32")
    for cell, parent in enumerate(parents):
        alone = np.bincount(ids[:, cell], minlength=size) + 1.0 / size
        counts = smoothing * np.tile(alone / alone.sum(), (size, 1))
        if parent != cell:
            counts += _pair_counts(ids[:, parent], ids[:, cell], size)
        tables[cell] = counts / counts.sum(axis=1, keepdims=True)
    return order.astype("int32"), parents.astype("int32"), tables


def log_prob(ids, parents, tables):
    """Log-probability of each row, float64 ``(n,)``."""
    cells = np.arange(len(parents))
    picked = tables[cells, ids[:, parents], ids]  # (n, cells)
    return np.log(picked.astype("float64")).sum(axis=1)


def draw(n, order, parents, tables, rng):
    """So many rows, parents before children: int64 ``(n, cells)``."""
    ids = np.zeros((n, len(order)), "int64")
    for cell in order:
        share = tables[cell, ids[:, parents[cell]]].astype("float64")
        edges = share.cumsum(axis=1)
        edges /= edges[:, -1:]
        ids[:, cell] = (rng.random((n, 1)) >= edges).sum(axis=1)
    return ids
