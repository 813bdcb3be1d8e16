"""The speed benchmark: its arithmetic, its loops, a run of seconds."""

import functools
import importlib.util
import pathlib
from types import SimpleNamespace

import bench_page
import keras
import numpy as np
import pytest
from bench_families import DATA, FAMILIES
from bench_worker import Run

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = "benchmarks/bench.py"
BACKEND = keras.backend.backend()
HAS_TORCH = importlib.util.find_spec("torch") is not None
EFFORT = SimpleNamespace(rounds=2, seconds=0.1)


@functools.cache
def rows_of(kind):
    """The first rows of a data set; most families share one."""
    return DATA[kind]()[:512].copy()


def entry(loop_seconds, seconds):
    """One round: the loop linear in the data, the other as told."""
    return {
        "runs": {
            "loop": {
                s: Run(s * loop_seconds, 1.0, 0.0, 0.0) for s in (1, 2, 4)
            },
            "tensorflow": {
                s: Run(t, 0.5, 0.02, 0.0)
                for s, t in zip((1, 2, 4), seconds, strict=True)
            },
        },
        "product_rate": 1e9,
    }


@pytest.fixture
def result():
    """Two rounds, in the second of which the machine is half as fast."""
    return {
        "family": next(f for f in FAMILIES if f.name == "VAE 784–400–20"),
        "parameters": 1234,
        "flops": 1e6,
        "losses": {"loop": [98.0, 102.0], "tensorflow": [101.0, 105.0]},
        "check_steps": 8,
        "units": {"loop": 100, "tensorflow": 200},
        "rounds": [entry(1.0, (1, 2, 4)), entry(2.0, (2, 4, 8))],
        "memory": {"loop": 300.0, "tensorflow": None},
    }


def test_rates_and_ratios_are_taken_within_a_round(result):
    assert bench_page.rates(result, "loop").tolist() == [100.0, 50.0]
    assert bench_page.rates(result, "tensorflow").tolist() == [200.0, 100.0]
    assert bench_page.ratios(result, "tensorflow").tolist() == [2.0, 2.0]
    # twice the rows in half the processor time
    assert bench_page.work_ratios(result, "tensorflow").tolist() == [4.0, 4.0]


def test_share_is_the_models_operations_by_the_products(result):
    # 200 examples a second of 10⁶ operations each, of 10⁹ a second
    assert bench_page.shares(result, "tensorflow") == pytest.approx([0.2, 0.1])
    assert bench_page.shares({**result, "flops": None}, "loop") is None


def test_growth_is_one_where_cost_is_linear(result):
    assert bench_page.growth(result, "loop", 4) == 1.0
    fixed = {**result, "rounds": [entry(1.0, (2.0, 3.0, 5.0))]}
    assert bench_page.growth(fixed, "tensorflow", 4) == 5.0 / 8.0
    assert "TensorFlow (0.62)" in bench_page.growth_words([fixed])
    assert "every family" in bench_page.growth_words([result])


def test_losses_are_alike_where_orders_of_rows_overlap(result):
    def relative(mine, loop):
        losses = {"loop": loop, "tensorflow": mine}
        return bench_page.alike({**result, "losses": losses}, "tensorflow")

    assert relative([-0.9, -1.4, -1.1], [-1.2, -1.3, -0.8]) == 0.0
    assert relative([135.0, 136.0, 138.0], [160.0, 163.0, 168.0]) == (
        pytest.approx(136 / 163 - 1)
    )
    assert relative([110.0], [100.0]) == pytest.approx(0.1)


def test_page_says_what_was_reached_and_what_was_missed(result):
    page = bench_page.page([result], EFFORT, 0.5)
    assert "goal, 1.3 ×, is reached" in page
    assert "| VAE 784–400–20 | 20 |" in page  # milliseconds of set-up
    assert "No family on TensorFlow is below 0.9" in page
    assert "same models were timed" in page
    slow = {**result, "units": {"loop": 100, "tensorflow": 50}}
    slow["losses"] = {"loop": [98.0, 102.0], "tensorflow": [129.0, 131.0]}
    page = bench_page.page([slow], EFFORT, 0.5)
    assert "goal, 1.3 ×, is missed" in page
    assert "runs at 0.50 × the loop" in page
    assert "a loss +30 % from the loop's" in page


def test_page_without_pytorch_has_no_comparison(result):
    for key in ("losses", "units", "memory"):
        result[key] = {"tensorflow": result[key]["tensorflow"]}
    result["flops"] = None
    page = bench_page.page([result], EFFORT, 0.5)
    assert "## Examples a second" in page
    assert "loop by hand" not in page
    assert "## Share of the machine" not in page


@pytest.mark.skipif(BACKEND != "torch", reason="the loops need PyTorch")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_loop_is_the_keras_model(family):
    from bench_loops import LOOPS

    rows = rows_of(family.data)
    model = family.build(rows)
    weights = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    loop = LOOPS[family.name](family, rows)
    assert loop.flops() > 2 * sum(w.size for w in weights if w.ndim == 4)
    loop.load(weights)  # raises where layers differ
    # a model without noise and images has the very same loss
    if family.name in (
        "dense autoencoder",
        "convolutional autoencoder",
        "VQ-VAE",
        "language model",
        "MADE",
        "RealNVP",
        "attention",
    ):
        model.compile()
        size = family.batch
        loss = model.evaluate(
            rows[:size], batch_size=size, verbose=0, return_dict=True
        )["loss"]
        assert loop.loss(loop.rows[:size]).item() == pytest.approx(
            loss, rel=1e-4
        )


@pytest.mark.skipif(BACKEND != "torch", reason="the loops need PyTorch")
def test_loop_of_flow_matching_is_the_keras_model():
    """Its loss draws noise: compared is the velocity, then means of losses."""
    import torch
    from bench_loops import LOOPS

    family = next(f for f in FAMILIES if f.name == "flow matching")
    rows = rows_of(family.data)
    model = family.build(rows)
    weights = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    rng = np.random.default_rng(0)  # the last layer starts at zero
    weights = [w + 0.1 * rng.standard_normal(w.shape) for w in weights]
    weights = [w.astype("float32") for w in weights]
    for mine, theirs in zip(model.trainable_weights, weights, strict=True):
        mine.assign(theirs)
    loop = LOOPS[family.name](family, rows)
    loop.load(weights)
    t = rng.random(len(rows)).astype("float32")
    with torch.no_grad():
        velocity = loop.velocity(loop.rows, loop.rows.new_tensor(t))
        losses = [loop.loss(loop.rows).item() for _ in range(20)]
    np.testing.assert_allclose(
        velocity.numpy(force=True),
        model.velocity(rows, t),
        atol=1e-4 * velocity.abs().max().item(),
    )
    model.compile()
    size = {"batch_size": len(rows), "verbose": 0}
    theirs = [model.evaluate(rows, **size) for _ in range(20)]
    # 20 losses of 512 rows each: their means differ by less than 3 %
    assert np.mean(losses) == pytest.approx(np.mean(theirs), rel=0.03)


@pytest.mark.skipif(BACKEND != "torch", reason="the loops need PyTorch")
def test_loop_refuses_the_weights_of_another_model():
    from bench_loops import LOOPS

    family = FAMILIES[0]
    loop = LOOPS[family.name](family, rows_of("images"))
    weights = [np.array(p.detach()) for p in loop.parameters()]
    with pytest.raises(ValueError, match="tensors here"):
        loop.load(weights[:-1])
    with pytest.raises(ValueError, match="there"):
        loop.load([*weights[:-1], np.zeros(3, "float32")])


@pytest.mark.skipif(
    BACKEND != "tensorflow" or HAS_TORCH,
    reason="a run of seconds on one backend; with loops it takes minutes",
)
def test_command_writes_the_page(tmp_path, run_script):
    page = tmp_path / "page.md"
    done = run_script(
        COMMAND,
        "--quick",
        "--families",
        "784",
        "--backends",
        BACKEND,
        "--output",
        page,
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert "| VAE 784–400–20 |" in text
    assert "loop by hand" not in text
    assert str(ROOT) not in text


def test_unknown_family_is_named(run_script):
    done = run_script(COMMAND, "--quick", "--families", "transformer")
    assert done.returncode != 0
    assert "Known: dense autoencoder" in done.stderr
