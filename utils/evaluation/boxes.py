"""How found boxes are judged: overlap, matches, counts.

A box is top, left, bottom, right in pixels; bottom and right are the first
row and column outside.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from utils import metrics
from utils.support import validation as check

__all__ = ["box_scores", "iou", "match", "named_share"]


def _boxes(boxes, name):
    boxes = check.as_array(boxes, name) if len(boxes) else np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        check.fail(name, "boxes (k, 4)", f"shape {boxes.shape}")
    return boxes.astype("float64")


def iou(first, second):
    """Intersection over union of all pairs of boxes.

    Args:
        first: Boxes ``(k, 4)``: top, left, bottom, right.
        second: Boxes ``(m, 4)``.

    Returns:
        Float64 array ``(k, m)`` in [0, 1]; 0 where both boxes are empty.

    Raises:
        ValueError: no matrix of four columns.

    Example:

    >>> iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [0, 1, 2, 3]]).round(2).tolist()
    [[1.0, 0.33]]
    """
    first, second = _boxes(first, "first"), _boxes(second, "second")
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    sizes = [
        np.maximum(b[:, 2:] - b[:, :2], 0).prod(axis=1) for b in (first, second)
    ]
    union = sizes[0][:, None] + sizes[1][None] - shared
    return shared / np.maximum(union, 1e-12)


def match(found, truth, least=0.5):
    """One-to-one pairs of found and true boxes that overlap enough.

    The pairs maximise the total overlap (Kuhn 1955); those below ``least``
    are then dropped.

    Args:
        found: Boxes ``(k, 4)``.
        truth: Boxes ``(m, 4)``.
        least: Smallest intersection over union that counts.

    Returns:
        Int64 array ``(p, 2)`` of rows of ``found`` and of ``truth``.
    """
    overlap = iou(found, truth)
    rows, columns = linear_sum_assignment(
        np.where(overlap < least, 0, overlap), True
    )
    kept = overlap[rows, columns] >= least
    return np.stack([rows[kept], columns[kept]], axis=1)


def box_scores(found, truth, least=0.5):
    """Scores of the boxes of many scenes together.

    Args:
        found: List of boxes ``(k, 4)``, one entry a scene.
        truth: Likewise, the true ones.
        least: As for :func:`match`.

    Returns:
        Dict: ``"f1"``, twice the pairs over found plus true boxes (1 where
        there is no box at all); ``"iou"``, mean overlap of the true boxes
        with their partner, 0 for those without; ``"count"``, share of scenes
        with the right number of boxes.

    Raises:
        ValueError: lists of different length.
    """
    if len(found) != len(truth):
        check.fail("found", f"{len(truth)} scenes", f"{len(found)}")
    pairs = total = overlap = 0.0
    for some, true in zip(found, truth, strict=True):
        chosen = match(some, true, least)
        pairs += len(chosen)
        total += len(some) + len(true)
        overlap += iou(some, true)[tuple(chosen.T)].sum()
    objects = sum(map(len, truth))
    right = [len(a) == len(b) for a, b in zip(found, truth, strict=True)]
    return {
        "f1": 2 * pairs / total if total else 1.0,
        "iou": overlap / objects if objects else 1.0,
        "count": float(np.mean(right)),
    }


def named_share(found, truth, ids, least=0.5):
    """Share of the true things that have a box and the right cluster.

    Clusters are matched one to one with classes, so that most of the paired
    boxes are right (Kuhn 1955).

    Args:
        found: List of boxes ``(k, 4)``, one entry a scene.
        truth: List of pairs of true boxes and classes, one a scene.
        ids: Cluster of each found box, all scenes one after the other.
        least: As for :func:`match`.

    Returns:
        Float in [0, 1]; things without a box count as wrong.

    Raises:
        ValueError: a number of ids that is not that of the boxes.
    """
    if not any(map(len, found)):
        return 0.0
    ids = check.check_labels(ids, "ids", num_rows=sum(map(len, found)))
    kept, classes, start = [], [], 0
    for some, (boxes, names) in zip(found, truth, strict=True):
        for one, other in match(some, boxes, least):
            kept.append(ids[start + one])
            classes.append(names[other])
        start += len(some)
    total = sum(len(boxes) for boxes, _ in truth)
    if not kept:
        return 0.0
    right = metrics.clustering_accuracy(np.array(classes), np.array(kept))
    return right * len(kept) / total
