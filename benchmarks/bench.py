"""How fast the models train; used by ``make bench``.

    python benchmarks/bench.py                      all families and backends
    python benchmarks/bench.py --families VAE GAN   those whose name has a word
    python benchmarks/bench.py --backends jax       only these Keras backends
    python benchmarks/bench.py --quick              seconds instead of minutes

Every family is trained by ``fit`` on each installed backend and by a plain
PyTorch loop with the same weights, batch size and optimiser. All of them are
child processes that live through the family and take turns, so that whatever
else the machine does hits all alike; ratios are taken within a round. With
``COURSE_DATA`` set the images are MNIST, else the bundled digits enlarged.
"""

import argparse
import contextlib
import importlib.util
import multiprocessing
import pathlib
import sys
import tempfile
import time
from collections import namedtuple

import bench_page
import numpy as np
from bench_families import DATA, FAMILIES
from bench_worker import serve

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BACKENDS = ("tensorflow", "jax", "torch")
PATIENCE = 600  # seconds to wait for an answer
SIDE = 1024  # of the matrices whose product measures the machine
SIZES = (1, 2, 4)  # data sizes, in units that each contender can afford

# how much of everything: rounds, seconds a unit of data takes; for the check
# that contenders learn alike: orders of the rows, epochs of so many batches
Effort = namedtuple(
    "Effort", ["rounds", "seconds", "orders", "epochs", "batches"]
)
FULL = Effort(rounds=5, seconds=0.3, orders=3, epochs=2, batches=40)
QUICK = Effort(rounds=2, seconds=0.01, orders=1, epochs=1, batches=8)


class Contender:
    """A child process with one model, and what it answered."""

    def __init__(self, name, family, path):
        self.name = name
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(
            target=serve, args=(theirs, name, family.name, path), daemon=True
        )
        self.process.start()
        theirs.close()

    def answer(self):
        """Wait for the child's next answer; its failure is raised here."""
        try:
            if not self.pipe.poll(PATIENCE):
                raise RuntimeError(f"{self.name}: no answer in {PATIENCE} s")
            value, failure = self.pipe.recv()
        except EOFError:
            failure = "the process ended without an answer"
        if failure:
            raise RuntimeError(f"{self.name}: {failure}")
        return value

    def ask(self, *request):
        """Send a request and wait for its answer."""
        self.pipe.send(request)
        return self.answer()

    def stop(self):
        """End the child."""
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self.process.join(10)
        if self.process.is_alive():
            self.process.terminate()


@contextlib.contextmanager
def started(names, family, path):
    """Contenders by name, started together and stopped in any case."""
    contenders = {name: Contender(name, family, path) for name in names}
    try:
        for contender in contenders.values():
            contender.answer()  # sent once the model is built
        yield contenders
    finally:
        for contender in contenders.values():
            contender.stop()


def product_rate():
    """Measured rate of float32 matrix products, operations a second."""
    a = np.random.default_rng(0).standard_normal((SIDE, SIDE), "float32")
    rates = []
    for _ in range(4):
        start = time.perf_counter()
        a @ a
        rates.append(2.0 * SIDE**3 / (time.perf_counter() - start))
    return max(rates)


def first_weights(contenders):
    """Initial weights of the first Keras model, which all are to start at."""
    keras = [c for name, c in contenders.items() if name != "loop"]
    weights = {contender.name: contender.ask("weights") for contender in keras}
    sizes = {name: sum(w.size for w in own) for name, own in weights.items()}
    if len(set(sizes.values())) > 1:
        raise RuntimeError(f"numbers of parameters differ: {sizes}")
    return weights[keras[0].name]


def check_losses(contenders, weights, rows, effort):
    """Losses of every contender from equal weights, an order of rows each."""
    losses = {name: [] for name in contenders}
    for seed in range(effort.orders):
        for name, contender in contenders.items():
            contender.ask("restart", weights, seed)
            losses[name].append(
                contender.ask("train", rows, effort.epochs).loss
            )
    return losses


def unit_rows(contender, family, seconds, available):
    """Rows that a contender trains on in so many seconds, whole batches."""
    rows = 16 * family.batch
    run = contender.ask("train", rows, 1)
    batches = int(seconds / run.seconds * 16)
    largest = available // max(SIZES) // family.batch
    return min(max(batches, 4), largest) * family.batch


def one_round(contenders, units, turn):
    """Let every contender train on every size once; runs by name.

    Its first training, on the smallest size, is not counted: it finds
    sleeping threads and the caches full of another's numbers.
    """
    names = list(contenders)
    order = names[turn % len(names) :] + names[: turn % len(names)]
    runs = {}
    for name in order:
        sizes = SIZES if name != "torch" else SIZES[:1]  # Keras's slowest
        contenders[name].ask("train", units[name], 1)
        runs[name] = {
            size: contenders[name].ask("train", size * units[name], 1)
            for size in sizes
        }
    return {"runs": runs, "product_rate": product_rate()}


def measure(family, names, path, effort):
    """All that the page says of one family, as a dict."""
    available = len(np.load(path, mmap_mode="r"))
    with started(names, family, path) as contenders:
        flops = None
        if "loop" in contenders:
            flops = contenders["loop"].ask("flops")
        weights = first_weights(contenders)
        rows = effort.batches * family.batch
        losses = check_losses(contenders, weights, rows, effort)
        units = {
            name: unit_rows(contender, family, effort.seconds, available)
            for name, contender in contenders.items()
        }
        rounds = [
            one_round(contenders, units, turn) for turn in range(effort.rounds)
        ]
        memory = {name: c.ask("memory") for name, c in contenders.items()}
    return {
        "family": family,
        "parameters": sum(w.size for w in weights),
        "flops": flops,
        "losses": losses,
        "check_steps": effort.epochs * effort.batches,
        "units": units,
        "rounds": rounds,
        "memory": memory,
    }


def installed(backends):
    """Those backends that can be imported, and the loop if PyTorch can."""
    names = [n for n in backends if importlib.util.find_spec(n) is not None]
    if not names:
        raise SystemExit(f"None of these backends is installed: {backends}")
    if importlib.util.find_spec("torch") is not None:
        names = ["loop", *names]
    return names


def chosen(words):
    """Families whose name has one of the words; all without words."""
    wanted = [word.lower() for word in words]
    families = [
        family
        for family in FAMILIES
        if not wanted or any(word in family.name.lower() for word in wanted)
    ]
    if not families:
        known = ", ".join(family.name for family in FAMILIES)
        raise SystemExit(f"No family has a name with {words}. Known: {known}")
    return families


def run_all(families, names, effort):
    """Measure one family after the other, with a line of progress each."""
    results, files = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for index, family in enumerate(families, start=1):
            if family.data not in files:
                path = pathlib.Path(folder) / f"{family.data}.npy"
                np.save(path, DATA[family.data]())
                files[family.data] = path
            print(f"[{index}/{len(families)}] {family.name} ...", end=" ")
            sys.stdout.flush()
            start = time.perf_counter()
            result = measure(family, names, files[family.data], effort)
            results.append(result)
            seconds = time.perf_counter() - start
            print(f"{bench_page.summary(result)}  ({seconds:.0f} s)")
    return results


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--families", nargs="*", default=[])
    parser.add_argument("--backends", nargs="*", default=BACKENDS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=pathlib.Path, default=PAGE)
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    names = installed(options.backends)
    families = chosen(options.families)
    start = time.perf_counter()
    results = run_all(families, names, effort)
    minutes = (time.perf_counter() - start) / 60
    page = bench_page.page(results, effort, minutes)
    page += bench_page.last_section(options.output)
    options.output.write_text(page, encoding="utf-8")
    print(f"Wrote {options.output.name} after {minutes:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
