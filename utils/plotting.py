"""Arrays in, Figure out: no model is called and no range is guessed.

Functions return a ``matplotlib.figure.Figure`` and leave showing it to the
caller, ``plt.show()``; :func:`sliders` alone returns a widget and calls what it
is given. Colours are distinguishable with the common forms of
colour blindness.
"""

import io
import textwrap

import cycler
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from utils.support import validation as check

__all__ = ["bars", "curves", "image_rows", "scatter", "sliders", "use_style"]

# Petroff (2021): ten colours chosen for accessibility by survey.
COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
_MARKERS = "os^Dv<>Pp*"
_LINES = ("-", "--", "-.", ":")


def use_style():
    """Set the course's figure style for this session."""
    plt.rcParams.update(
        {
            "figure.dpi": 90,
            "figure.figsize": (6.4, 3.8),
            "figure.constrained_layout.use": True,
            "savefig.dpi": 90,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "image.cmap": "gray",
            "axes.prop_cycle": cycler.cycler(color=COLORS),
        }
    )


def image_rows(rows, title=None, *, low=0.0, high=1.0):
    """Labelled rows of images on one fixed grey scale.

    Args:
        rows: Dict of row label to images ``(n, h, w)``, ``(n, h, w, 1)`` or
            ``(n, h, w, 3)``. All rows have the same n.
        title: The finding, in words.
        low: Value drawn black. Values below are clipped to it.
        high: Value drawn white. Values above are clipped to it.

    Returns:
        Figure.

    Raises:
        ValueError: no rows, rows of different length, not images.
    """
    if not rows:
        check.fail("rows", "a dict with at least one row of images", "none")
    arrays = {}
    for label, images in rows.items():
        images = check.check_array(images, f"rows[{label!r}]")
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            check.fail(
                f"rows[{label!r}]", "images (n, h, w[, c])", images.shape
            )
        arrays[label] = np.clip((images - low) / (high - low), 0.0, 1.0)
    counts = {len(images) for images in arrays.values()}
    if len(counts) > 1:
        check.fail("rows", "rows of equal length", f"lengths {sorted(counts)}")
    columns = counts.pop()
    figure, axes = plt.subplots(
        len(arrays),
        figsize=(0.75 * columns + 1.4, 0.78 * len(arrays) + 0.35),
        squeeze=False,
    )
    for axis, (label, images) in zip(axes[:, 0], arrays.items(), strict=True):
        axis.imshow(_side_by_side(images), vmin=0.0, vmax=1.0)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(False)
        axis.spines[:].set_visible(False)
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _side_by_side(images):
    """One picture of all images, with a white gap: one axes draws faster."""
    gap = max(1, images.shape[2] // 12)
    sides = ((0, 0), (0, 0), (0, gap), (0, 0))
    padded = np.pad(images, sides, constant_values=1.0)
    return np.concatenate(padded, axis=1)[:, :-gap].squeeze()


def scatter(panels, labels=None, title=None, *, class_names=None, axes=None):
    """Two-dimensional points, one panel each, coloured by label.

    Args:
        panels: Dict of panel title to points ``(n, 2)``.
        labels: Integers ``(n,)`` for all panels, or a dict of them by panel
            title; ``None`` draws all points alike.
        title: Heading over all panels.
        class_names: Legend entry of each label; ``None`` shows no legend.
        axes: Pair of axis labels, or a dict of pairs by panel title.

    Returns:
        Figure.

    Raises:
        ValueError: points that are not ``(n, 2)``, float labels.
    """
    count = len(panels)
    figure, grid = plt.subplots(
        1, count, figsize=(3.9 * count + 0.4, 3.7), squeeze=False
    )
    for axis, (name, points) in zip(grid[0], panels.items(), strict=True):
        points = check.check_array(points, name, ndim=2, event_shape=(2,))
        ids = labels.get(name) if isinstance(labels, dict) else labels
        if ids is None:
            ids = np.zeros(len(points), dtype="int64")
        ids = check.check_labels(ids, "labels", num_rows=len(points))
        for label in np.unique(ids):
            chosen = points[ids == label]
            named = class_names is not None and label < len(class_names)
            axis.scatter(
                chosen[:, 0],
                chosen[:, 1],
                s=20,
                alpha=0.7,
                linewidths=0,
                color=COLORS[label % len(COLORS)],
                marker=_MARKERS[label % len(_MARKERS)],
                label=class_names[label] if named else None,
            )
        axis.set_title(name)
        pair = axes.get(name) if isinstance(axes, dict) else axes
        if pair:
            axis.set_xlabel(pair[0])
            axis.set_ylabel(pair[1])
    if class_names is not None:
        handles, names = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def curves(
    lines, title=None, *, x=None, xlabel="epoch", ylabel="loss", log=False
):
    """Lines over a common axis, with their spread where there are seeds.

    Args:
        lines: Dict of legend entry to values ``(points,)`` or, for several
            seeds, ``(seeds, points)``: then the mean is drawn, and a band
            from the smallest to the largest.
        title: The finding, in words.
        x: Positions ``(points,)``; ``None`` counts 1, 2, ….
        xlabel, ylabel: Axis labels, with units.
        log: Draw the value axis logarithmically.

    Returns:
        Figure.

    Raises:
        ValueError: values that are not one or two dimensional.
    """
    figure, axis = plt.subplots()
    for index, (name, values) in enumerate(lines.items()):
        values = check.check_array(values, name)
        if values.ndim > 2:
            check.fail(name, "(points,) or (seeds, points)", values.shape)
        values = np.atleast_2d(values)
        places = np.arange(1, values.shape[1] + 1) if x is None else x
        color = COLORS[index % len(COLORS)]
        axis.plot(
            places,
            values.mean(axis=0),
            _LINES[index % len(_LINES)],
            color=color,
            label=name,
            marker="o" if len(places) <= 12 else None,
            markersize=4,
        )
        if len(values) > 1:
            axis.fill_between(
                places,
                values.min(axis=0),
                values.max(axis=0),
                color=color,
                alpha=0.2,
                linewidth=0,
            )
    if log:
        axis.set_yscale("log")
    if xlabel == "epoch":
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.legend()
    if title:
        axis.set_title(title)
    return figure


def bars(values, title=None, *, ylabel="", reference=None):
    """One bar a name; with several seeds the mean, and a dot for each.

    Args:
        values: Dict of name to a number or a sequence of numbers.
        title: The finding, in words.
        ylabel: What is measured, with units.
        reference: Optional ``(label, value)`` drawn as a dashed line.

    Returns:
        Figure.
    """
    figure, axis = plt.subplots()
    for index, (name, numbers) in enumerate(values.items()):
        numbers = check.check_array(np.atleast_1d(numbers), name)
        axis.bar(
            index,
            numbers.mean(),
            width=0.6,
            color=COLORS[index % len(COLORS)],
            alpha=0.75,
        )
        if len(numbers) > 1:
            axis.plot(np.full(len(numbers), index), numbers, "k.", markersize=6)
    wide = max(9, 60 // max(1, len(values)))  # letters that a bar has room for
    names = [
        textwrap.fill(name, wide, break_long_words=False) for name in values
    ]
    axis.set_xticks(range(len(values)), names)
    axis.grid(axis="x", visible=False)
    axis.set_ylabel(ylabel)
    if reference is not None:
        label, height = reference
        axis.axhline(height, ls="--", color="black", lw=1, label=label)
        axis.legend()
    if title:
        axis.set_title(title)
    return figure


def sliders(draw, units, *, low=-3.0, high=3.0):
    """A grey picture with a slider for each number that it is drawn from.

    Needs a running notebook: in a page that is only read nothing moves.

    Args:
        draw: Function from a float32 vector ``(units,)`` to a picture
            ``(h, w)`` or ``(h, w, 1)`` with values in [0, 1].
        units: Number of sliders ≥ 1; all start at 0, or as near as the range
            allows.
        low: Left end of each slider.
        high: Right end, above ``low``.

    Returns:
        ``ipywidgets.HBox`` of the sliders and the picture.
    """
    import ipywidgets

    units = check.check_int(units, "units")
    if not low < high:
        check.fail("high", f"a number above low, {low:g}", f"{high:g}")
    screen = ipywidgets.Image(format="png", width=180, height=180)
    parts = [
        ipywidgets.FloatSlider(
            value=min(max(0.0, low), high),
            min=low,
            max=high,
            step=(high - low) / 60,
            description=f"unit {number + 1}",
        )
        for number in range(units)
    ]

    def redraw(change=None):
        picture = np.asarray(draw(np.float32([part.value for part in parts])))
        picture = picture.reshape(picture.shape[:2])
        zoom = -(-180 // max(picture.shape))
        large = np.kron(picture, np.ones((zoom, zoom)))  # squares, no blur
        buffer = io.BytesIO()
        plt.imsave(buffer, large, cmap="gray", vmin=0, vmax=1, format="png")
        screen.value = buffer.getvalue()

    for part in parts:
        part.observe(redraw, "value")
    redraw()
    return ipywidgets.HBox([ipywidgets.VBox(parts), screen])
