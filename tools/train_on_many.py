"""Train one autoencoder on one device or on many: same losses, other shape.

Which devices there are, and how rows and weights lie on them, stands in
`placement`; model, objective and training are those of the chapters, and
know nothing of it::

    python tools/train_on_many.py                        # all devices
    python tools/train_on_many.py --devices 4            # rows over four
    python tools/train_on_many.py --devices 4 --split 2  # weights over two
    python tools/train_on_many.py --address HOST:PORT --processes 2 --id 0
    srun python tools/train_on_many.py --cluster         # Slurm says the rest

It prints one line of JSON: mean loss of each epoch, rows a second, bytes of
weights on each device. ``--virtual 4`` cuts one processor into four devices
that share its cores: to test with, not to be quicker.

The backend is Keras's choice, by ``KERAS_BACKEND``: on JAX everything here
works, on TensorFlow ``--devices``; docs/scaling.md says what does not.
"""

import argparse
import json
import os
import time

import numpy as np


def read_options(given=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", type=int, help="default: all there are")
    parser.add_argument("--split", type=int, default=1, help="of wide weights")
    parser.add_argument("--virtual", type=int, help="parts of the processor")
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--address", help="HOST:PORT of process 0")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--id", type=int, help="of this process, from 0")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64, help="of all devices")
    parser.add_argument("--weights", help="file for trained weights, .npz")
    return parser.parse_args(given)


def check_options(options):
    """Stop with a sentence if options do not fit together."""
    devices = options.split if options.devices is None else options.devices
    if min(devices, options.split, options.batch, options.width) < 1:
        raise SystemExit("train_on_many.py: a number of things is at least 1")
    if options.epochs < 2:
        raise SystemExit("train_on_many.py: --epochs < 2: the first compiles")
    if bool(options.address) != bool(options.processes):
        raise SystemExit("train_on_many.py: --address and --processes go both")
    if devices % options.split:
        raise SystemExit("train_on_many.py: --devices not divided by --split")
    if options.batch % (devices // options.split * (options.processes or 1)):
        raise SystemExit("train_on_many.py: --batch not divided by devices")


def cut_processor(parts):
    """Let one processor look like several devices, before Keras starts."""
    flag = f"--xla_force_host_platform_device_count={parts}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if os.environ.get("KERAS_BACKEND") != "jax":
        import tensorflow as tf

        (processor,) = tf.config.list_physical_devices("CPU")
        logical = [tf.config.LogicalDeviceConfiguration()] * parts
        tf.config.set_logical_device_configuration(processor, logical)


def placement(options):
    """How rows and weights lie on the devices.

    Returns:
        ``(scope to build and train in, number of devices, of processes, own
        number among these)``.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        strategy = tensorflow_placement(options)
        return strategy.scope(), strategy.num_replicas_in_sync, 1, 0
    if options.cluster or options.address:
        # without arguments Slurm, Open MPI or a TPU is asked
        keras.distribution.initialize(
            options.address, options.processes, options.id
        )
    names = keras.distribution.list_devices()[: options.devices]
    mesh = keras.distribution.DeviceMesh(
        (len(names) // options.split, options.split), ["batch", "model"], names
    )
    layout = keras.distribution.LayoutMap(mesh)
    if options.split > 1:  # the wide layer, whose weights are shared out
        layout["hidden_1/kernel"] = (None, "model")
        layout["hidden_1/bias"] = ("model",)
    many = keras.distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False
    )
    return many.scope(), len(names), many.num_processes, many.data_shard_id


def tensorflow_placement(options):
    """The same for the devices of one machine, by ``tf.distribute``."""
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU")
    found = found or tf.config.list_logical_devices("CPU")
    names = [device.name for device in found[: options.devices]]
    return tf.distribute.MirroredStrategy(names)


def shares(x, batch, processes, number):
    """Batches in one order everywhere, of each the rows of one process."""
    import keras

    rng = np.random.default_rng(0)
    share = batch // processes

    class Shares(keras.utils.PyDataset):
        def __len__(self):
            return len(x) // batch

        def __getitem__(self, index):
            start = index * batch + number * share
            return (x[self.order[start : start + share]],)

        def on_epoch_end(self):  # at its begin batches are fetched already
            self.order = rng.permutation(len(x))

    found = Shares()
    found.on_epoch_end()
    return found


def train(options):
    """Train as the chapters do; a dict of what came of it."""
    import keras

    from utils import data
    from utils.models import Autoencoder
    from utils.training import recipes

    scope, devices, processes, number = placement(options)
    rows = shares(
        data.load("digits").flat().x_train, options.batch, processes, number
    )
    ends = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    with scope:
        model = Autoencoder.dense((64,), 8, widths=(options.width,), seed=0)
        # one batch at once: more are refused by tf.distribute
        model.compile(recipes.adam(3e-3, options.epochs * len(rows)))
        history = model.fit(
            rows,
            epochs=options.epochs,
            shuffle=False,  # else each process in an order of its own
            callbacks=[clock],
            verbose=0,
        )
    timed = (options.epochs - 1) * len(rows) * options.batch
    if options.weights and number == 0:
        np.savez(options.weights, *model.get_weights())
    return {
        "backend": keras.backend.backend(),
        "processes": processes,
        "devices": devices,
        "losses": history.history["loss"],
        # the first epoch compiles
        "rows_per_second": round(timed / max(ends[-1] - ends[0], 1e-9)),
        "bytes_per_device": bytes_on_one_device(model),
    }


def bytes_on_one_device(model):
    """Bytes of weights that the first local device holds."""
    total = 0
    for weight in model.trainable_weights:
        value = weight.value
        if hasattr(value, "addressable_shards"):
            value = value.addressable_shards[0].data
        total += int(np.prod(value.shape)) * 4
    return total


if __name__ == "__main__":
    OPTIONS = read_options()
    check_options(OPTIONS)
    if OPTIONS.virtual:
        cut_processor(OPTIONS.virtual)
    print(json.dumps(train(OPTIONS)))
