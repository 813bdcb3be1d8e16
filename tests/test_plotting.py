"""Figures: what is drawn, on which scale, and what is refused."""

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import pytest

from utils import plotting


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
    plt.rcdefaults()


IMAGES = np.linspace(-0.5, 1.5, 3 * 4 * 4).reshape(3, 4, 4)


def cut_row(axis, width=4, gap=1):
    """The images drawn side by side in one axes, gaps left out."""
    row = np.asarray(axis.images[0].get_array())
    starts = range(0, row.shape[1], width + gap)
    assert all((row[:, start - gap : start] == 1.0).all() for start in starts)
    return np.stack([row[:, start : start + width] for start in starts])


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 4, 4, 1)])
def test_image_rows_grey_images_share_one_fixed_scale(shape):
    figure = plotting.image_rows(
        {"x": IMAGES.reshape(shape), "dim": 0.1 * IMAGES.reshape(shape)}, "t"
    )
    assert isinstance(figure, matplotlib.figure.Figure)
    assert len(figure.axes) == 2
    assert {axis.images[0].get_clim() for axis in figure.axes} == {(0.0, 1.0)}
    bright, dim = (cut_row(axis) for axis in figure.axes)
    np.testing.assert_allclose(bright[1], IMAGES[1], atol=1e-6)
    # values beyond the scale are clipped, not rescaled
    assert bright[0].min() == 0.0
    assert dim[2].max() == pytest.approx(0.15)
    assert figure.axes[0].get_ylabel() == "x"
    assert figure.get_suptitle() == "t"


def test_image_rows_own_range_maps_low_to_black_and_high_to_white():
    figure = plotting.image_rows({"x": IMAGES}, low=-0.5, high=1.5)
    drawn = cut_row(figure.axes[0])
    np.testing.assert_allclose(drawn, (IMAGES + 0.5) / 2, atol=1e-6)


def test_image_rows_colour_images_keep_their_channels():
    figure = plotting.image_rows({"x": np.zeros((2, 4, 4, 3))})
    # two images of width 4 and a white gap of width 1
    row = figure.axes[0].images[0].get_array()
    assert row.shape == (4, 9, 3)
    assert (row[:, 4] == 1.0).all() and (row[:, 5:] == 0.0).all()


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ({}, "rows: expected a dict"),
        ({"x": np.zeros((2, 64))}, r"rows\['x'\]: expected images"),
        ({"x": np.zeros((2, 4, 4, 2))}, "expected images"),
        ({"x": np.full((2, 4, 4), np.nan)}, "finite"),
        (
            {"a": np.zeros((2, 4, 4)), "b": np.zeros((3, 4, 4))},
            "rows of equal length",
        ),
    ],
)
def test_image_rows_wrong_rows_refused(rows, match):
    with pytest.raises(ValueError, match=match):
        plotting.image_rows(rows)


def test_scatter_points_of_each_label_are_all_drawn():
    points = np.arange(12.0).reshape(6, 2)
    labels = np.array([0, 0, 1, 1, 1, 2])
    figure = plotting.scatter(
        {"left": points, "right": points},
        {"left": labels},
        "two views",
        class_names=("a", "b", "c"),
        axes=("u", "v"),
    )
    left, right = figure.axes
    counts = [len(group.get_offsets()) for group in left.collections]
    assert counts == [2, 3, 1]
    np.testing.assert_allclose(left.collections[2].get_offsets(), [[10, 11]])
    assert len(right.collections) == 1  # unlabelled points
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["a", "b", "c"]
    assert (left.get_xlabel(), right.get_ylabel()) == ("u", "v")


def test_scatter_classes_differ_in_colour_and_marker():
    figure = plotting.scatter({"x": np.eye(2)}, np.array([0, 1]))
    first, second = figure.axes[0].collections
    assert not np.array_equal(first.get_facecolor(), second.get_facecolor())
    assert not np.array_equal(
        first.get_paths()[0].vertices, second.get_paths()[0].vertices
    )


@pytest.mark.parametrize(
    ("points", "labels", "match"),
    [
        (np.zeros((3, 3)), None, "shape"),
        (np.zeros(3), None, "axes"),
        (np.zeros((3, 2)), np.array([0.0, 1.0, 2.0]), "integer labels"),
        (np.zeros((3, 2)), np.array([0, 1]), "labels: expected 3 labels"),
    ],
)
def test_scatter_wrong_input_refused(points, labels, match):
    with pytest.raises(ValueError, match=match):
        plotting.scatter({"x": points}, labels)


def test_curves_several_seeds_draw_mean_and_full_band():
    figure = plotting.curves(
        {"one": [3.0, 2.0], "two": [[1.0, 2.0], [3.0, 6.0]]}, "t", log=True
    )
    axis = figure.axes[0]
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[1, 3], [2, 2]])
    np.testing.assert_allclose(axis.lines[1].get_ydata(), [2, 4])
    band = axis.collections[0].get_paths()[0].vertices
    assert {tuple(v) for v in band} == {(1, 1), (1, 3), (2, 2), (2, 6)}
    assert axis.get_yscale() == "log"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "loss")
    assert axis.get_title() == "t"


def test_curves_given_positions_are_used():
    figure = plotting.curves({"a": [1.0, 2.0]}, x=[8, 32], xlabel="width")
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [8, 32])


def test_curves_three_dimensions_refused():
    with pytest.raises(ValueError, match=r"a: expected \(points,\)"):
        plotting.curves({"a": np.zeros((2, 2, 2))})


def test_bars_long_names_take_two_lines():
    names = ("Markov", "Markov + memory", "GRU", "GRU + memory", "a", "b")
    axis = plotting.bars(dict.fromkeys(names, 1.0)).axes[0]
    shown = [label.get_text() for label in axis.get_xticklabels()]
    assert shown[1] == "Markov +\nmemory" and shown[0] == "Markov"


def test_bars_height_is_the_mean_and_every_seed_a_dot():
    figure = plotting.bars(
        {"PCA": 0.5, "AE": [0.1, 0.3]}, ylabel="mse", reference=("floor", 0.05)
    )
    axis = figure.axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    np.testing.assert_allclose(heights, [0.5, 0.2], rtol=1e-6)
    dots, reference = axis.lines
    np.testing.assert_allclose(dots.get_ydata(), [0.1, 0.3], rtol=1e-6)
    np.testing.assert_allclose(reference.get_ydata(), [0.05, 0.05])
    assert axis.get_legend().get_texts()[0].get_text() == "floor"


def test_bars_nan_refused():
    with pytest.raises(ValueError, match="PCA: expected finite"):
        plotting.bars({"PCA": float("nan")})


def test_figures_under_course_style_render_without_warning():
    # warnings are errors here: layout or font trouble would show
    plotting.use_style()
    figures = [
        plotting.image_rows({"x̂ = g(z)": IMAGES.clip(0, 1)}, "rows"),
        plotting.scatter({"μ": np.eye(2)}, np.array([0, 1]), class_names="ab"),
        plotting.curves({"γ": [1.0, 2.0]}),
        plotting.bars({"σ": [1.0, 2.0]}),
    ]
    for figure in figures:
        figure.canvas.draw()
        assert figure.canvas.get_width_height()[0] > 50


def test_style_palette_colours_are_distinct():
    assert len(set(plotting.COLORS)) == 10
    plotting.use_style()
    cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert tuple(cycle) == plotting.COLORS


def test_sliders_redraw_what_they_show():
    seen = []

    def draw(code):
        seen.append(code.tolist())
        return np.full((4, 4, 1), 0.5 + code[0] / 10)

    panel = plotting.sliders(draw, units=2)
    parts, screen = panel.children
    before = bytes(screen.value)
    assert before.startswith(b"\x89PNG") and seen == [[0.0, 0.0]]
    parts.children[0].value = 2.0
    assert np.allclose(seen[-1], [2.0, 0.0], atol=0.05)
    assert bytes(screen.value) != before
    higher = plotting.sliders(draw, 1, low=1.0, high=2.0)
    assert higher.children[0].children[0].value == 1.0


def test_sliders_refuse_an_empty_range():
    with pytest.raises(ValueError, match="high"):
        plotting.sliders(lambda code: code, 1, low=1.0, high=1.0)
    with pytest.raises(ValueError, match="units"):
        plotting.sliders(lambda code: code, 0)
