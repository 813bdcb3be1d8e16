"""One device or many: losses and weights are the same, to the last digits.

Devices are parts of one processor, hosts are processes over loopback: this
proves that the placements agree, and says nothing about speed. Each runs in a
process of its own, since a backend is cut into devices before it starts.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import train_on_many

from utils.nn import backend

ROOT = pathlib.Path(__file__).resolve().parents[2]
on_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="placements of JAX"
)
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="placements of TensorFlow"
)
# several placements in one process, which takes longer to start than to train
SEVERAL = textwrap.dedent("""
    import json, sys
    import train_on_many

    folder, parts, *lines = sys.argv[1:]
    train_on_many.cut_processor(int(parts))
    for number, line in enumerate(lines):
        options = train_on_many.read_options(line.split())
        options.weights = f"{folder}/{number}.npz"
        print(json.dumps(train_on_many.train(options)))
""")
# TensorFlow, which JAX does without, takes seconds to import
WITHOUT_TENSORFLOW = "import sys; sys.modules['tensorflow'] = None\n"


def environment(name):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
    return {
        **os.environ,
        "KERAS_BACKEND": name,
        "PYTHONPATH": path,
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def start(code, *arguments, name="jax"):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment(name),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(process):
    out, error = process.communicate(timeout=280)
    assert process.returncode == 0, error
    return [json.loads(line) for line in out.splitlines() if line[:1] == "{"]


def weights(folder, number):
    with np.load(folder / f"{number}.npz") as stored:
        return [stored[name] for name in stored.files]


def assert_same(found, folder, number, first=0):
    # sums in another order: 1e-7 seen after three epochs
    np.testing.assert_allclose(
        found[number]["losses"], found[first]["losses"], rtol=1e-5
    )
    pairs = zip(weights(folder, number), weights(folder, first), strict=True)
    for many, one in pairs:
        np.testing.assert_allclose(many, one, atol=1e-5)


def moved(folder, number):
    """Whether training did anything: biases start at zero."""
    return max(np.abs(part).max() for part in weights(folder, number)[1::2])


@pytest.fixture(scope="module")
def on_virtual_devices(tmp_path_factory):
    """Results on 1, 2 and 4 of four virtual devices, and a shared layer."""
    folder = tmp_path_factory.mktemp("weights")
    lines = "--devices 1", "--devices 2", "--devices 4", "--devices 4 --split 2"
    code = WITHOUT_TENSORFLOW + SEVERAL
    return results(start(code, folder, 4, *lines)), folder


@on_jax
@pytest.mark.slow
def test_rows_and_weights_over_virtual_devices_equal_one_device(
    on_virtual_devices,
):
    found, folder = on_virtual_devices
    assert [run["devices"] for run in found] == [1, 2, 4, 4]
    assert moved(folder, 0) > 0.01
    assert found[0]["losses"][-1] < 0.5 * found[0]["losses"][0]
    for number in (1, 2, 3):
        assert_same(found, folder, number)
    # of two layers, 64 → 64 and 8 → 64, each device holds the half
    saved = 4 * (65 + 9) * 64 // 2
    sizes = [run["bytes_per_device"] for run in found]
    assert sizes == [37_664, 37_664, 37_664, 37_664 - saved]


@on_jax
@pytest.mark.slow
def test_two_processes_over_loopback_equal_one_process(
    on_virtual_devices, tmp_path
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    pair = []
    for number in (0, 1):
        folder = tmp_path / f"process{number}"
        folder.mkdir()
        line = f"--address {address} --processes 2 --id {number}"
        code = WITHOUT_TENSORFLOW + SEVERAL
        pair.append(start(code, folder, 1, line))
    (first,), (second,) = map(results, pair)
    (one, *_), alone = on_virtual_devices
    assert one["processes"] == 1 and first["processes"] == 2
    assert first["losses"] == second["losses"]
    np.testing.assert_allclose(first["losses"], one["losses"], rtol=1e-5)
    pairs = zip(
        weights(tmp_path / "process0", 0), weights(alone, 0), strict=True
    )
    for both, own in pairs:
        np.testing.assert_allclose(both, own, atol=1e-5)
    assert not (tmp_path / "process1" / "0.npz").exists()  # one file is enough


@on_tensorflow
@pytest.mark.slow
def test_mirrored_strategy_of_two_devices_equals_one_device(tmp_path):
    lines = "--devices 1", "--devices 2"
    found = results(start(SEVERAL, tmp_path, 2, *lines, name="tensorflow"))
    assert moved(tmp_path, 0) > 0.01
    assert_same(found, tmp_path, 1)


def test_replicas_one_without_a_strategy():
    assert backend.replicas() == 1


@pytest.mark.parametrize(
    "line, match",
    [
        ("--devices 0", "at least 1"),
        ("--split 0", "at least 1"),
        ("--split 3 --devices 4", "--split"),
        ("--epochs 1", "--epochs"),
        ("--batch 7 --devices 2", "--batch"),
        ("--processes 2", "--address"),
        ("--address 127.0.0.1:1", "--processes"),
        ("--address 127.0.0.1:1 --processes 3 --batch 64", "--batch"),
    ],
)
def test_wrong_options_are_named_before_training(line, match):
    options = train_on_many.read_options(line.split())
    with pytest.raises(SystemExit, match=match):
        train_on_many.check_options(options)


def test_shares_of_all_processes_make_up_the_batch():
    x = np.arange(40.0).reshape(20, 2)
    whole = train_on_many.shares(x, 8, 1, 0)
    halves = [train_on_many.shares(x, 8, 2, number) for number in (0, 1)]
    for _ in range(2):
        assert len(whole) == len(halves[0]) == 2
        for index in range(2):
            together = np.concatenate([half[index][0] for half in halves])
            np.testing.assert_array_equal(whole[index][0], together)
        before = whole[0][0].copy()
        for batches in (whole, *halves):
            batches.on_epoch_end()
        assert not np.array_equal(before, whole[0][0])  # a new order
