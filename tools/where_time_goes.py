"""Where a sitting spends its time: imports, tracing, steps, figures.

    python tools/where_time_goes.py          every sitting, one after the other
    python tools/where_time_goes.py 03       only those whose name has 03

Each sitting's code runs in a process of its own, without a notebook. A clock
belongs to the innermost of the activities below, so that they add up to the
whole. Rewrites docs/where_time_goes.md; sittings that do not run keep their
line.
"""

import argparse
import builtins
import contextlib
import functools
import importlib
import io
import json
import os
import re
import subprocess
import sys
import time

import jupytext
from sittings import ROOT, sources, tags

from utils.support.files import write_whole

PAGE = ROOT / "docs" / "where_time_goes.md"
KINDS = ("imports", "tracing", "steps", "scikit-learn", "figures", "the rest")
OPENING = """\
# Where a sitting's time goes

Written by `python tools/where_time_goes.py`; do not edit. Seconds of the quick
profile on {cores} cores, each sitting in a process of its own, without a
notebook around it. Machines differ, and so does what else they do: read the
last line.

- *imports*: of packages, TensorFlow's above all;
- *tracing*: TensorFlow turns Python into graphs, once a model and shape;
- *steps*: `fit`, `evaluate`, `predict` and single batches, without the above;
- *scikit-learn*: fitting; *figures*: drawing and packing pictures;
- *the rest*: NumPy, building models, sampling by hand, Python.
"""


class Clock:
    """Seconds of each kind, where the innermost activity counts."""

    def __init__(self):
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self.stack, self.since = ["the rest"], time.perf_counter()

    def turn(self):
        """Book the time since the last turn to the activity on top."""
        now = time.perf_counter()
        self.seconds[self.stack[-1]] += now - self.since
        self.since = now

    @contextlib.contextmanager
    def during(self, kind):
        """A block that belongs to a kind."""
        self.turn()
        self.stack.append(kind)
        try:
            yield
        finally:
            self.turn()
            self.stack.pop()

    def timed(self, function, kind):
        """The same function, whose time counts as a kind."""

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with self.during(kind):
                return function(*args, **kwargs)

        return wrapper

    def wrap(self, owner, name, kind):
        """Let a function of a module or a method count as a kind."""
        setattr(owner, name, self.timed(getattr(owner, name), kind))


def watch(clock):
    """Put the clock at the places where each kind begins."""
    with clock.during("imports"):
        import keras
        import matplotlib.pyplot as plt
        import sklearn.base

        inside = "tensorflow.python.eager.polymorphic_function."
        tracing = importlib.import_module(inside + "tracing_compilation")
        clock.wrap(tracing, "trace_function", "tracing")

        def show():
            """As the notebook does: each figure becomes a PNG."""
            for number in plt.get_fignums():
                plt.figure(number).savefig(io.BytesIO(), bbox_inches="tight")
            plt.close("all")

        plt.show = show
        clock.wrap(plt, "show", "figures")
        clock.wrap(plt, "subplots", "figures")
        trainer = keras.Model.__mro__[1]
        for name in ("fit", "evaluate", "predict"):
            clock.wrap(trainer, name, "steps")
        for name in ("train", "test", "predict"):
            clock.wrap(trainer, f"{name}_on_batch", "steps")
        context = sklearn.base._fit_context  # decorates every fit

        def fit_context(*args, **kwargs):
            decorate = context(*args, **kwargs)
            return lambda method: clock.timed(decorate(method), "scikit-learn")

        sklearn.base._fit_context = fit_context


def run(source):
    """Execute a sitting here; print its seconds as JSON on the last line."""
    cells = jupytext.read(source).cells
    clock = Clock()
    clock.wrap(builtins, "__import__", "imports")
    os.chdir(ROOT / "chapters")
    from utils import runtime  # noqa: F401  before Keras: it sets the backend

    watch(clock)
    namespace = {"__name__": "__main__"}
    for cell in cells:
        if cell.cell_type == "code" and not tags(cell) & {"exercise", "check"}:
            exec(compile(cell.source, str(source), "exec"), namespace)
    clock.turn()
    print(json.dumps(clock.seconds))


def read_page():
    """Lines of the page by sitting."""
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    rows = re.findall(r"^\| (\d\d\w*) \|[^|]*\|(.*)\|$", text, re.M)
    return {stem: [float(n) for n in row.split("|")] for stem, row in rows}


def write_page(found):
    """Write the page from such lines."""
    lines = [OPENING.format(cores=os.cpu_count())]
    lines.append(f"| sitting | all | {' | '.join(KINDS)} |")
    lines.append("|---" + "|--:" * (len(KINDS) + 1) + "|")
    rows = {p.stem: found[p.stem] for p in sources() if p.stem in found}
    columns = zip(*rows.values(), strict=True)
    rows["**together**"] = [sum(column) for column in columns]
    for name, row in rows.items():
        cells = " | ".join(f"{n:.1f}" for n in [sum(row), *row])
        lines.append(f"| {name} | {cells} |")
    shares = [100 * n / sum(row) for n in row]  # of the last row, the sum
    lines.append(f"| **%** | 100 | {' | '.join(f'{n:.0f}' for n in shares)} |")
    write_whole(PAGE, "\n".join(lines) + "\n")


def main():
    """Command line; the exit status is 1 if a sitting failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        run(options.pattern)
        return 0
    failed = 0
    for path in sources(options.pattern):
        command = [sys.executable, __file__, "--here", str(path)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, "MPLBACKEND": "agg"},
        )
        if done.returncode:
            failed += 1
            print(f"{path.stem} failed\n{done.stderr[-2000:]}")
            continue
        seconds = json.loads(done.stdout.splitlines()[-1])
        print(
            path.stem, {k: round(v, 1) for k, v in seconds.items()}, flush=True
        )
        write_page({**read_page(), path.stem: list(seconds.values())})
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
