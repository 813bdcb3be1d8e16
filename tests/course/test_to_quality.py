"""Time to quality: its rule, its clock, its learners, a run of seconds."""

import dataclasses
import importlib.util
import math
import pathlib

import bench_page
import keras
import numpy as np
import pytest
import to_quality
from quality_learners import CONTENDERS, learner_of
from to_quality import Point, negative_elbo

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = "benchmarks/to_quality.py"
BACKEND = keras.backend.backend()
HAS_TORCH = importlib.util.find_spec("torch") is not None
BY_NAME = {contender.name: contender for contender in CONTENDERS}
OURS = BY_NAME["course 784–400–20, TensorFlow"]
KERAS_IO = BY_NAME["keras.io's example"]
PYTORCH = BY_NAME["PyTorch's example 784–400–20"]
FAST = [Point(4.0, 120.0), Point(6.0, 104.0), Point(8.0, 99.0)]
SLOW = [Point(5.0, 130.0), Point(9.0, 106.0), Point(12.0, 104.9)]


class Still:
    """Codes N(1, 4) of two units, every pixel as likely on as off."""

    def encode(self, x):
        return np.ones((len(x), 2)), np.full((len(x), 2), math.log(4.0))

    def decode(self, z):
        return np.zeros((len(z), 784))


def images(n):
    """Blobs of grey levels."""
    rng = np.random.default_rng(0)
    low = rng.random((n, 7, 7, 1)) ** 2
    return low.repeat(4, axis=1).repeat(4, axis=2).astype("float32")


@pytest.mark.parametrize("n", [3, to_quality.PIECE + 1])
def test_rule_by_hand(n):
    # a pixel costs log 2; a unit ½ (1 + 4 − 1 − log 4)
    expected = 784 * math.log(2.0) + (4.0 - math.log(4.0))
    assert negative_elbo(Still(), images(n)) == pytest.approx(expected)


def test_rule_draws_codes_from_the_posterior():
    class Reader(Still):
        codes = ()

        def decode(self, z):
            self.codes = z
            return super().decode(z)

    reader = Reader()
    bound = negative_elbo(reader, images(1000))
    assert reader.codes.mean() == pytest.approx(1.0, abs=0.2)  # ± 0.045
    assert reader.codes.std() == pytest.approx(2.0, abs=0.15)  # ± 0.03
    assert negative_elbo(reader, images(1000)) == bound  # the same draws


def test_clock_stands_still_while_the_learner_is_judged(monkeypatch):
    # begin; end of pass 1, back after judging; the same of pass 2
    times = iter([10.0, 13.0, 50.0, 52.0, 90.0])
    monkeypatch.setattr(to_quality.time, "perf_counter", lambda: next(times))
    watch = to_quality.Watch(Still(), images(2), limit=1.0)
    assert not watch()  # two passes at least
    assert watch()
    assert [point.seconds for point in watch.curve] == [3.0, 5.0]


def test_seconds_to_a_level():
    assert to_quality.first_below(FAST, 105) == 6.0
    assert to_quality.first_below(FAST, 97) is None
    assert to_quality.started_in(FAST) == 2.0  # 4 s, then 2 s a pass
    assert to_quality.started_in(FAST[:1]) is None


def test_words_of_a_level():
    def cell(contender, curves, level):
        return to_quality.cell(contender, curves, level, 120.0)

    both = [FAST, SLOW]
    assert cell(PYTORCH, both, 105) == "9 (6–12)"
    assert cell(PYTORCH, both, 100) == "8, 1 of 2 seeds"
    assert cell(PYTORCH, both, 97) == "not within 2 min"
    ended = dataclasses.replace(PYTORCH, passes=3)
    assert cell(ended, both, 97) == "not in its 3 passes"


def test_section_replaces_itself_and_survives_the_other_command(tmp_path):
    curves = {OURS: [FAST, FAST], PYTORCH: [SLOW, FAST]}
    page = tmp_path / "page.md"
    assert bench_page.last_section(page) == ""
    page.write_text("# Training speed\n\nrates\n", "utf-8")
    assert bench_page.last_section(page) == ""
    for words in ("old images", "new images"):
        text = to_quality.section(curves, 120.0, 7.0, 2, words)
        to_quality.write(page, text, to_quality.draw(curves))
    written = page.read_text("utf-8")
    assert written.startswith(f"# Training speed\n\nrates\n\n{text}")
    assert "old images" not in written
    assert bench_page.last_section(page) == f"\n{text}\n"
    assert (tmp_path / "images" / "time_to_quality.png").stat().st_size > 5000

    assert "![−ELBO of test rows falling" in text  # for who cannot see it
    assert f"105: first is {OURS.name}, 6 s" in text
    assert "97: nobody" in text
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert len(lines) == 2 + len(curves)
    assert len({line.count("|") for line in lines}) == 1
    assert (
        f"| {OURS.name} | 128, 0.003 falling over 10 passes | 6 (6–6) | "
        "8 (8–8) | not within 2 min | 2.0 (2.0–2.0) | 99.0 (99.0–99.0) | 3 |"
    ) in lines


# --------------------------------------------------------------- learners


def trained(contender, monkeypatch):
    """A learner after two passes over a few rows."""
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)
    learner = learner_of(contender, seed=1)
    watch = to_quality.Watch(learner, images(64), limit=0.0)
    learner.train(images(256), watch)
    assert len(watch.curve) == 2
    assert watch.curve[1].bound < 784 * math.log(2.0)  # every pixel at ½
    return learner


@pytest.mark.parametrize(
    ("contender", "weights"),
    [(OURS, 652_824), (KERAS_IO, 69_076 + 65_089)],
    ids=lambda value: getattr(value, "name", None),
)
def test_keras_learner_is_judged_by_what_it_trains_on(
    contender, weights, monkeypatch
):
    contender = dataclasses.replace(contender, backend=BACKEND)
    learner = trained(contender, monkeypatch)
    # the second number: as keras.io prints it, encoder and decoder
    parts = learner.model.encoder, learner.model.decoder
    assert sum(part.count_params() for part in parts) == weights
    x = np.tile(images(64), (16, 1, 1, 1))  # sixteen draws of each row
    loss = learner.model.evaluate(x, verbose=0, return_dict=True)["loss"]
    assert negative_elbo(learner, x) == pytest.approx(loss, rel=3e-3)


@pytest.mark.skipif(BACKEND != "torch", reason="the loops need PyTorch")
def test_loop_is_judged_by_what_it_trains_on(monkeypatch):
    learner = trained(PYTORCH, monkeypatch)
    loop = learner.loop
    assert sum(weight.numel() for weight in loop.parameters()) == 652_824
    assert loop.adam.param_groups[0]["lr"] == PYTORCH.rate  # it stays
    x = np.tile(images(64), (16, 1, 1, 1))
    loss = loop.loss(loop.rows.new_tensor(x)).item()
    assert negative_elbo(learner, x) == pytest.approx(loss, rel=3e-3)


@pytest.mark.skipif(BACKEND != "torch", reason="the loops need PyTorch")
def test_rate_of_a_loop_falls_over_its_passes(monkeypatch):
    contender = dataclasses.replace(PYTORCH, passes=2)
    assert contender.updates(256) == 4
    rates = trained(contender, monkeypatch).loop.adam.param_groups[0]["lr"]
    # that of the last of four steps: ½ (1 + cos ¾π)
    assert rates == pytest.approx(1e-3 * 0.5 * (1.0 - math.sqrt(0.5)))


# ---------------------------------------------------------------- command


@pytest.mark.skipif(
    BACKEND != "tensorflow" or HAS_TORCH,
    reason="a run of seconds on one backend is enough",
)
def test_command_writes_section_and_figure(tmp_path, run_script):
    page = tmp_path / "page.md"
    done = run_script(
        COMMAND, "--quick", "--contenders", "400–20, tensor", "--output", page
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert text.startswith(bench_page.TO_QUALITY)
    assert f"| {OURS.name} |" in text
    assert str(ROOT) not in text
    assert (tmp_path / "images" / "time_to_quality.png").exists()


def test_unknown_contender_is_named(run_script):
    done = run_script(COMMAND, "--quick", "--contenders", "transformer")
    assert done.returncode != 0
    assert "Known: course 784–400–20" in done.stderr


def test_section_of_one_seed_claims_no_spread():
    curves = {OURS: [FAST], PYTORCH: [SLOW]}
    text = to_quality.section(curves, 120.0, 7.0, 1, "images")
    assert "One seed." in text and "Median" not in text
    row = next(line for line in text.splitlines() if PYTORCH.name in line)
    assert "(" not in row.split("|", 2)[2]
