"""Composed scenes: digits at random places, with the truth kept aside.

NumPy only. No photograph of the world: each picture is put together here,
so that boxes and names are known without anybody having drawn them.
"""

import numpy as np

from utils.support import validation as check

__all__ = ["KINDS", "backgrounds", "compose", "mosaic", "paste", "tight_box"]

SIDE = 32  # of a scene, in pixels
NOISE = 0.05  # standard deviation, of each pixel
KINDS = ("clean", "touching", "clutter", "texture")


def tight_box(picture, threshold=0.25):
    """Top, left, bottom, right of all pixels above a threshold.

    Args:
        picture: Array ``(height, width)``.
        threshold: Number; pixels above it count.

    Returns:
        Int64 array ``(4,)``; bottom and right are the first row and column
        that no longer belong. Zeros where no pixel is above.
    """
    rows, columns = np.nonzero(np.asarray(picture) > threshold)
    if not len(rows):
        return np.zeros(4, "int64")
    box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return np.array(box, "int64")


def backgrounds(kind, n, *, photo=None, seed=0):
    """Scenes without any digit.

    Args:
        kind: ``"clean"`` and ``"touching"``: black; ``"clutter"``: twenty
            straight strokes of 2 to 6 pixels, as bright as digits;
            ``"texture"``: a cut of a photograph at 0.7 of its brightness.
        n: Number of scenes.
        photo: Grey photograph ``(height, width, 1)`` for ``"texture"``.
        seed: Integer ≥ 0.

    Returns:
        Float32 array ``(n, 32, 32)`` in [0, 1], noise not yet added.

    Raises:
        ValueError: an unknown kind, or no photograph for a texture.
    """
    check.check_choice(kind, "kind", KINDS)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    ground = np.zeros((check.check_int(n, "n"), SIDE, SIDE), "float32")
    if kind == "texture":
        if photo is None:
            check.fail("photo", "a grey photograph for a texture", "None")
        photo = check.check_array(photo, "photo", ndim=3)
        limits = photo.shape[0] - SIDE + 1, photo.shape[1] - SIDE + 1
        corners = rng.integers(0, limits, size=(n, 2))
        for scene, (top, left) in zip(ground, corners, strict=True):
            scene[:] = 0.7 * photo[top : top + SIDE, left : left + SIDE, 0]
    if kind == "clutter":
        for scene in ground:
            for _ in range(20):
                place, angle = rng.uniform(0, SIDE, 2), rng.uniform(0, np.pi)
                along = np.arange(0, rng.uniform(2, 6), 0.5)
                step = np.array([np.sin(angle), np.cos(angle)])
                points = (place + along[:, None] * step).astype(int)
                row, column = points.T % SIDE
                scene[row, column] = rng.uniform(0.5, 1.0)
    return ground


def compose(kind, digits, labels, n, *, most=4, photo=None, seed=0):
    """Scenes of 0 to ``most`` digits at random places.

    Digits are added by the larger of both values. They lie at least 10
    pixels apart along one axis, so that they never touch; in the kind
    ``"touching"`` 5 are enough.

    Args:
        kind: One of ``KINDS``, see :func:`backgrounds`.
        digits: Pictures ``(m, h, w)`` or ``(m, h, w, 1)`` in [0, 1].
        labels: Their classes ``(m,)``.
        n: Number of scenes.
        most: Largest number of digits in a scene.
        photo: As for :func:`backgrounds`.
        seed: Integer ≥ 0.

    Returns:
        Scenes, float32 ``(n, 32, 32, 1)`` in [0, 1]; and the truth, a list
        of one pair a scene: boxes, int64 ``(k, 4)`` of top, left, bottom,
        right, tight around what was pasted; and classes ``(k,)``.

    Raises:
        ValueError: as for :func:`backgrounds`; digits and labels that differ
            in number.
    """
    digits = check.check_array(digits, "digits")
    digits = digits.reshape(len(digits), *digits.shape[1:3])
    labels = check.check_labels(labels, "labels", num_rows=len(digits))
    most = check.check_int(most, "most", minimum=0)
    scenes = backgrounds(kind, n, photo=photo, seed=seed)
    rng = np.random.default_rng((seed, 1))
    apart = 5 if kind == "touching" else 10
    height, width = digits.shape[1:]
    truth = []
    for scene in scenes:
        places, boxes, classes = [], [], []
        for _ in range(rng.integers(0, most + 1)):
            for _ in range(50):  # a crowded scene may get one digit fewer
                place = rng.integers(0, (SIDE - height + 1, SIDE - width + 1))
                if all(np.abs(place - p).max() >= apart for p in places):
                    break
            else:
                continue
            row = rng.integers(len(digits))
            (top, left), digit = place, digits[row]
            part = scene[top : top + height, left : left + width]
            np.maximum(part, digit, out=part)
            places.append(place)
            boxes.append(tight_box(digit) + [top, left, top, left])
            classes.append(labels[row])
        truth.append(
            (np.array(boxes, "int64").reshape(-1, 4), np.array(classes, int))
        )
    scenes += rng.normal(0, NOISE, scenes.shape)
    return np.clip(scenes, 0, 1).astype("float32")[..., None], truth


def mosaic(textures, side=96, *, seed=0):
    """A picture of several textures, and which of them each pixel shows.

    Borders are those of random straight cuts: each pixel belongs to the
    nearest of twice as many random points, two points a texture.

    Args:
        textures: List of pictures ``(h, w, channels)`` at least ``side``
            large.
        side: Height and width of the mosaic.
        seed: Integer ≥ 0.

    Returns:
        Float32 ``(side, side, channels)`` and int64 ids ``(side, side)``.

    Raises:
        ValueError: a texture smaller than the mosaic.
    """
    side = check.check_int(side, "side", minimum=8)
    for index, texture in enumerate(textures):
        if min(np.shape(texture)[:2]) < side:
            shape = str(np.shape(texture))
            check.fail(f"textures[{index}]", f"at least {side} a side", shape)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    points = rng.uniform(0, side, (2 * len(textures), 2))
    grid = np.moveaxis(np.mgrid[:side, :side], 0, -1)
    distance = np.linalg.norm(grid[:, :, None] - points, axis=-1)
    ids = distance.argmin(axis=-1) % len(textures)
    cuts = []
    for texture in textures:
        room = np.array(texture.shape[:2]) - side + 1
        top, left = rng.integers(0, room)
        cuts.append(texture[top : top + side, left : left + side])
    cuts = np.stack(cuts).astype("float32")
    return cuts[ids, grid[..., 0], grid[..., 1]], ids


def paste(pieces, grounds, *, seed=0):
    """Pieces at random places of random grounds, seen through their window.

    Args:
        pieces: Array ``(n, h, w)`` in [0, 1].
        grounds: Scenes ``(m, height, width)``.
        seed: Integer ≥ 0.

    Returns:
        Float32 array ``(n, h, w)`` in [0, 1], with the scenes' noise.
    """
    pieces = check.check_array(pieces, "pieces", ndim=3)
    grounds = check.check_array(grounds, "grounds", ndim=3)
    rng = np.random.default_rng(check.check_int(seed, "seed", minimum=0))
    height, width = pieces.shape[1:]
    chosen = rng.integers(len(grounds), size=len(pieces))
    room = grounds.shape[1] - height + 1, grounds.shape[2] - width + 1
    corners = rng.integers(0, room, (len(pieces), 2))
    behind = np.stack(
        [
            grounds[one, top : top + height, left : left + width]
            for one, (top, left) in zip(chosen, corners, strict=True)
        ]
    )
    noise = rng.normal(0, NOISE, pieces.shape)
    return np.clip(np.maximum(pieces, behind) + noise, 0, 1).astype("float32")
