"""Seconds until a VAE is good: the end of ``make bench``.

    COURSE_DATA=folder python benchmarks/to_quality.py
    ... --contenders course     those whose name has a word
    ... --seeds 1 --minutes 2   fewer runs, shorter ones
    ... --quick                 seconds, on small digits: shows that all runs

The course's VAE beside those that a newcomer would copy, PyTorch's example
and keras.io's. Each run has a process and the machine to itself. After every
pass over the rows its clock stops, and −ELBO of the test rows is computed by
one rule for all, :func:`negative_elbo`. Writes the last section of
``docs/benchmarks.md`` and its figure.
"""

import argparse
import concurrent.futures
import importlib.util
import multiprocessing
import pathlib
import sys
import tempfile
import time
from collections import namedtuple

import bench_page
import numpy as np
from bench_families import describe_images, images
from quality_learners import CONTENDERS, learner_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
LEVELS = (105, 100, 97)  # nats an image
PIECE = 1000  # rows judged at once
LEAST = 2  # passes of every run, so that the first can be told from others
FLOOR = 90  # nats; the figure's axis is logarithmic above it

# after a pass: seconds of training so far, −ELBO of the test rows
Point = namedtuple("Point", ["seconds", "bound"])


# -------------------------------------------------------------- measuring


def negative_elbo(learner, x):
    """−ELBO in nats an image: grey levels as bits, one draw of the code.

    Everybody is judged by these lines, in double precision, with the same
    draws in every pass.
    """
    rng = np.random.default_rng(0)
    total = 0.0
    for start in range(0, len(x), PIECE):
        rows = x[start : start + PIECE]
        mean, log_var = (np.float64(head) for head in learner.encode(rows))
        noise = rng.standard_normal(mean.shape)
        z = mean + np.exp(0.5 * log_var) * noise
        logits = np.float64(learner.decode(z.astype("float32")))
        nll = np.logaddexp(0.0, logits) - rows.reshape(logits.shape) * logits
        kl = 0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var)
        total += nll.sum() + kl.sum()
    return total / len(x)


class Watch:
    """The clock of one run; it stands still while the learner is judged."""

    def __init__(self, learner, x, limit):
        self.learner, self.x, self.limit = learner, x, limit
        self.curve = []
        self.seconds, self.since = 0.0, time.perf_counter()

    def __call__(self):
        """A pass is done; returns whether time is up."""
        self.seconds += time.perf_counter() - self.since
        bound = negative_elbo(self.learner, self.x)
        self.curve.append(Point(self.seconds, bound))
        self.since = time.perf_counter()
        return len(self.curve) >= LEAST and self.seconds >= self.limit


def race(contender, seed, path, limit):
    """The curve of one run, which has this process to itself.

    Imports and the reading of the rows are not timed; building the model,
    tracing and compiling are.
    """
    rows = np.load(path, allow_pickle=False)
    x_train, x_test = rows["x_train"], rows["x_test"]
    mine = learner_of(contender, seed)
    watch = Watch(mine, x_test, limit)
    mine.train(x_train, watch)
    return watch.curve


def run_all(contenders, seeds, rows, limit):
    """Curves by contender, a list with one a seed; seeds take turns."""
    curves = {contender: [] for contender in contenders}
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(
            1, spawn, max_tasks_per_child=1
        ) as pool,
    ):
        path = pathlib.Path(folder) / "rows.npz"
        np.savez(path, x_train=rows[0], x_test=rows[1])
        for seed in range(seeds):
            for contender in contenders:
                task = pool.submit(race, contender, seed, path, limit)
                curve = task.result()
                curves[contender].append(curve)
                print(
                    f"seed {seed}  {contender.name}: {curve[-1].bound:.1f} "
                    f"after {len(curve)} passes, {curve[-1].seconds:.0f} s",
                    flush=True,
                )
    return curves


# ----------------------------------------------------------------- numbers


def first_below(curve, level):
    """Seconds until the bound was first below the level, or ``None``."""
    below = (point.seconds for point in curve if point.bound < level)
    return next(below, None)


def started_in(curve):
    """Seconds by which the first pass is longer than the others."""
    passes = np.diff([0.0, *(point.seconds for point in curve)])
    return passes[0] - np.median(passes[1:]) if len(passes) > 1 else None


def reached(curves, level):
    """Seconds of those seeds that came below the level."""
    times = [first_below(curve, level) for curve in curves]
    return [seconds for seconds in times if seconds is not None]


def cell(contender, curves, level, limit):
    """What the table says of a contender and a level."""
    times = reached(curves, level)
    if not times:
        ended = all(len(curve) == contender.passes for curve in curves)
        if ended:
            return f"not in its {contender.passes} passes"
        return f"not within {limit / 60:g} min"
    words = bench_page.spread(times, "{:.0f}")
    if len(times) < len(curves):
        words += f", {len(times)} of {len(curves)} seeds"
    return words


# ------------------------------------------------------------------- words


def results_table(curves, limit):
    """A row a contender: seconds to each level, start, end."""
    header = ["VAE", "batch, rate", *(f"{level} nats" for level in LEVELS)]
    header += ["start", "at the end", "passes"]
    rows = []
    for contender, own in curves.items():
        starts = [started_in(curve) for curve in own]
        known = None if None in starts else starts
        rows.append(
            [
                contender.name,
                contender.settings,
                *(cell(contender, own, level, limit) for level in LEVELS),
                bench_page.spread(known, "{:z.1f}"),
                bench_page.spread([c[-1].bound for c in own], "{:.1f}"),
                f"{np.median([len(curve) for curve in own]):.0f}",
            ]
        )
    return bench_page.table(header, rows)


def reading(curves):
    """Who was first at each level."""
    lines = []
    for level in LEVELS:
        times = {
            contender.name: np.median(reached(own, level))
            for contender, own in curves.items()
            if len(reached(own, level)) == len(own)  # with every seed
        }
        if times:
            first = min(times, key=times.get)
            lines.append(f"{level}: first is {first}, {times[first]:.0f} s")
        else:
            lines.append(f"{level}: nobody, with every seed")
    return "; ".join(lines) + "."


def draw(curves):
    """−ELBO against seconds: a colour a contender, a line a seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib import ticker

    from utils import plotting

    plotting.use_style()
    figure, axis = plt.subplots(figsize=(7.6, 5.0))
    for index, (contender, own) in enumerate(curves.items()):
        for curve in own:
            (line,) = axis.plot(
                *zip(*curve, strict=True),
                ("-", "--", "-.", ":")[index % 4],
                color=plotting.COLORS[index],
                linewidth=1.2,
            )
        line.set_label(contender.name)  # once, whatever the seeds
    for level in LEVELS:
        axis.axhline(level, color="black", linewidth=0.6)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.set_yscale(
        "function",
        functions=(
            lambda nats: np.log(np.maximum(nats - FLOOR, 1.0)),
            lambda height: FLOOR + np.exp(height),
        ),
    )
    ticks = [95, *LEVELS, 110, 120, 150, 200, 300]
    axis.set_yticks(ticks, [str(tick) for tick in ticks])
    axis.set_ylim(94, max(165, *(own[0][-1].bound for own in curves.values())))
    axis.set_xlabel("seconds of training")
    axis.set_ylabel("−ELBO of test rows, nats an image")
    axis.legend(fontsize=8, loc="lower left", frameon=True, framealpha=1.0)
    return figure


def section(curves, limit, minutes, seeds, words):
    """The end of the page."""
    alt = (
        "−ELBO of test rows falling with seconds of training, one line a "
        "seed and contender, with levels at "
        f"{', '.join(map(str, LEVELS))} nats. {reading(curves)}"
    )
    counted = "One seed."
    if seeds > 1:
        counted = (
            f"Median of {seeds} seeds, in brackets the least and the largest."
        )
    return "\n\n".join(
        [
            bench_page.TO_QUALITY,
            bench_page.provenance(),
            f"""\
Seconds of training until −ELBO of the test rows is first below a level, after
whole passes over the training rows. Images: {words}, the same rows for all;
grey levels as bits, nats an image, one draw of the code. One rule computes it
for all, and its time is not counted. Neither are imports; building, tracing
and compiling are: `start` says by how many seconds the first pass is longer
than the others. {counted}
A run has the machine to itself, and ends with its passes or after
{limit / 60:g} minutes. The examples of PyTorch and keras.io are written anew
after their settings, in their kindest form: batches from one array, no test
rows among those that they learn from. They stop where time does, not after
their own 10 and 30 passes. Our recipe is that of chapter 4b, with the cosine
cut off where time is up. This run took {minutes:.0f} minutes.""",
            f"![{alt}](images/time_to_quality.png)",
            f"Who is first: {reading(curves)}",
            results_table(curves, limit),
        ]
    )


def write(page, text, figure):
    """Put the section at the end of the page, the figure beside it."""
    old = page.read_text("utf-8") if page.exists() else ""
    before = old.partition(bench_page.TO_QUALITY)[0].rstrip()
    page.write_text(f"{before}\n\n{text}\n".lstrip(), encoding="utf-8")
    folder = page.parent / "images"
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / "time_to_quality.png")


# ----------------------------------------------------------------- command


def rows_of(quick):
    """Training and test rows, and what they are."""
    if quick:
        small = images()[:768]
        return (small[:512], small[512:]), describe_images()
    from utils import data

    mnist = data.load("mnist")
    return (mnist.x_train, mnist.x_test), "MNIST"


def chosen(words):
    """Installed contenders whose name has one of the words, or all."""
    wanted = [word.lower() for word in words]
    found = [
        contender
        for contender in CONTENDERS
        if importlib.util.find_spec(contender.package) is not None
        and (not wanted or any(w in contender.name.lower() for w in wanted))
    ]
    if not found:
        known = "; ".join(contender.name for contender in CONTENDERS)
        raise SystemExit(f"None is installed with {words}. Known: {known}")
    return found


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--contenders", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=pathlib.Path, default=PAGE)
    options = parser.parse_args(arguments)
    contenders = chosen(options.contenders)
    if options.quick:
        options.seeds, options.minutes = 1, 0.1
    rows, words = rows_of(options.quick)
    start = time.perf_counter()
    limit = 60.0 * options.minutes
    curves = run_all(contenders, options.seeds, rows, limit)
    minutes = (time.perf_counter() - start) / 60
    text = section(curves, limit, minutes, options.seeds, words)
    write(options.output, text, draw(curves))
    print(f"Wrote {options.output.name} after {minutes:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
