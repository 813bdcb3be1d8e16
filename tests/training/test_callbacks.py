"""Progress line and snapshots."""

import io
import re
import sys

import keras
import nbformat
import numpy as np
import pytest
import sittings

from utils.models import Autoencoder
from utils.training import callbacks


@pytest.fixture(scope="module")
def model():
    model = Autoencoder.dense((6,), 2, widths=(), seed=0)
    model.compile("sgd")
    return model


X = np.random.default_rng(0).random((20, 6)).astype("float32")


@pytest.mark.parametrize(
    ("every", "epochs", "printed"),
    [(None, 3, [3]), (2, 3, [2, 3]), (2, 4, [2, 4]), (1, 2, [1, 2])],
)
def test_progress_line_prints_the_asked_epochs_only(
    model, capsys, every, epochs, printed
):
    line = callbacks.ProgressLine("linear", every=every)
    model.fit(X, epochs=epochs, verbose=0, callbacks=[line])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(printed)
    for text, epoch in zip(lines, printed, strict=True):
        # mse and loss come in the backend's order of metrics
        numbers = sorted(re.findall(r"(loss|mse) ", text))
        assert numbers == ["loss", "mse"]
        assert text.startswith(f"linear: epoch {epoch}  ")
        assert re.search(r"\(\d+\.\d s\)$", text)


def test_progress_line_validation_numbers_are_in_the_line(model, capsys):
    line = callbacks.ProgressLine()
    model.fit(X, validation_data=X, epochs=1, verbose=0, callbacks=[line])
    text = capsys.readouterr().out
    assert text.startswith("epoch 1  ")
    assert "val_loss" in text
    assert "val_mse" in text


def test_progress_line_no_control_characters(model, capsys):
    line = callbacks.ProgressLine(every=1)
    model.fit(X, epochs=2, verbose=0, callbacks=[line])
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", capsys.readouterr().out)


class Screen(io.StringIO):
    """Standard output of a terminal or a notebook."""

    def isatty(self):
        return True


@pytest.mark.parametrize("every", [None, 2])
def test_progress_line_moves_on_a_screen_and_leaves_the_plain_lines(
    model, monkeypatch, every
):
    monkeypatch.setattr(callbacks, "REFRESH", 0.0)
    monkeypatch.setattr(sys, "stdout", Screen())
    print("printed before")
    line = callbacks.ProgressLine("linear", every=every)
    model.fit(X, epochs=4, batch_size=5, verbose=0, callbacks=[line])
    text = sys.stdout.getvalue()
    states = re.findall(r"about (\d+) s left", text)
    assert len(states) == 4 * 4 - 2  # all batches but the first two
    lines = sittings.settled(text).splitlines()
    assert lines[0] == "printed before"
    assert [line.split("  ")[0] for line in lines[1:]] == [
        f"linear: epoch {epoch}" for epoch in ([4] if every is None else [2, 4])
    ]
    assert all(re.search(r"\d s\)$", line) for line in lines[1:])


def test_progress_line_time_left_follows_the_speed(model, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(sys, "stdout", Screen())
    line = callbacks.ProgressLine()
    line.set_params({"epochs": 5, "steps": 1})
    line.on_train_begin()
    for epoch in range(4):  # a second each, two with the line's own reading
        line.on_epoch_begin(epoch)
        line.on_train_batch_begin(0)
    left = re.findall(r"about (\d+) s left", sys.stdout.getvalue())
    assert left == ["6", "4"]


MOVING = """
from utils.training import callbacks
callbacks.REFRESH = 0.0
print("printed before")
line = callbacks.ProgressLine("linear")
line.set_params({"epochs": 2, "steps": 3})
line.on_train_begin()
for epoch in range(2):
    line.on_epoch_begin(epoch)
    for batch in range(3):
        line.on_train_batch_begin(batch)
    line.on_epoch_end(epoch, {"loss": 0.5})
line.on_train_end()
"""


def test_progress_line_in_a_notebook_moves_and_is_stored_as_one_line(
    monkeypatch, tmp_path
):
    written, settled = [], sittings.settled
    monkeypatch.setattr(
        sittings, "settled", lambda t: written.append(t) or settled(t)
    )
    cell = nbformat.v4.new_code_cell(MOVING)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    sitting = sittings.Sitting("one", notebook, tmp_path)
    sitting.execute()
    assert sitting.error is None, sitting.details
    assert "".join(written).count(" s left)") == 4
    outputs = notebook.cells[0].outputs  # old releases chatter beside it
    (output,) = [each for each in outputs if each.name == "stdout"]
    assert re.fullmatch(
        r"printed before\nlinear: epoch 2  loss 0.5  \(\d+\.\d s\)\n",
        output.text,
    )


def test_progress_line_early_stop_still_prints(model, capsys):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    model.fit(
        X,
        epochs=9,
        verbose=0,
        callbacks=[callbacks.ProgressLine(every=5), Stop()],
    )
    assert capsys.readouterr().out.startswith("epoch 1 ")


def test_snapshots_keep_the_asked_epochs_and_values(model):
    keep = callbacks.Snapshots(lambda m: m.encoder.get_weights()[0], {0, 2})
    before = model.encoder.get_weights()[0]
    model.fit(X, epochs=3, verbose=0, callbacks=[keep])
    assert sorted(keep.values) == [0, 2]
    np.testing.assert_array_equal(keep.values[0], before)
    assert not np.array_equal(keep.values[2], keep.values[0])
    after = model.encoder.get_weights()[0]
    assert not np.array_equal(keep.values[2], after)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: callbacks.ProgressLine(every=0), "every: expected an integer"),
        (lambda: callbacks.ProgressLine(every=1.5), "every"),
        (lambda: callbacks.Snapshots(print, [-1]), "epochs: expected"),
        (lambda: callbacks.Snapshots(print, [0.5]), "epochs: expected"),
    ],
)
def test_callback_wrong_argument_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
