"""Numbers and words of ``docs/benchmarks.md``, from what was measured."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess

import numpy as np
from bench_families import describe_images

LOOP = "loop"
TITLES = {
    LOOP: "PyTorch loop",
    "tensorflow": "TensorFlow",
    "jax": "JAX",
    "torch": "Keras on PyTorch",
}
TO_QUALITY = "## Time to quality"  # the section that to_quality.py writes
SLOW = 0.9  # of the loop: below it, a reason is due
LINEAR = 0.1  # largest deviation from cost in proportion to the data
ALIKE = 0.05  # largest relative difference of two losses that never overlap
CLAIMS = (  # family, backend, at least so many times the loop
    ("VAE 784–400–20", "tensorflow", 1.3),
    ("VAE 784–400–20", "jax", 2.0),
    ("convolutional autoencoder", "tensorflow", 1.1),
)


# ---------------------------------------------------------------- numbers


def rates(result, name):
    """Examples a second in each round, over all data sizes."""
    unit = result["units"][name]
    return np.array(
        [
            sum(unit * size for size in runs[name])
            / sum(run.seconds for run in runs[name].values())
            for runs in (entry["runs"] for entry in result["rounds"])
        ]
    )


def ratios(result, name):
    """Rate by the PyTorch loop's, taken within each round; or ``None``."""
    if LOOP not in result["units"]:
        return None
    return rates(result, name) / rates(result, LOOP)


def work_ratios(result, name):
    """The same in processor time: examples a second of busy processor."""
    if LOOP not in result["units"]:
        return None

    def work(entry, who):
        runs = entry["runs"][who]
        rows = result["units"][who] * sum(runs)
        return rows / sum(run.cpu for run in runs.values())

    return np.array([work(e, name) / work(e, LOOP) for e in result["rounds"]])


def shares(result, name):
    """Operations of the model by those of a matrix product in that time."""
    if result["flops"] is None:
        return None
    products = np.array([entry["product_rate"] for entry in result["rounds"]])
    return rates(result, name) * result["flops"] / products


def growth(result, name, size):
    """Cost of ``size`` times the data by ``size`` times the cost."""
    runs = [entry["runs"][name] for entry in result["rounds"]]
    if size not in runs[0]:
        return None
    ratio = [r[size].seconds / (size * r[1].seconds) for r in runs]
    return float(np.median(ratio))


def alike(result, name):
    """How far the losses of the check are from the loop's, relatively.

    0 where the ranges overlap: another order of the rows would do as much.
    """
    mine, theirs = (np.array(result["losses"][n]) for n in (name, LOOP))
    if mine.min() <= theirs.max() and theirs.min() <= mine.max():
        return 0.0
    return float(np.median(mine) / np.median(theirs) - 1.0)


# ------------------------------------------------------------------ words


def spread(values, form):
    """Median, least and largest; a dash where nothing was measured."""
    if values is None:
        return "–"
    if len(values) == 1:
        return form.format(values[0])
    numbers = np.median(values), np.min(values), np.max(values)
    middle, low, high = (form.format(number) for number in numbers)
    return f"{middle} ({low}–{high})"


def table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def per_contender(results, cell, names=None):
    """Rows of a table with one column a contender."""
    names = names or list(results[0]["units"])
    header = ["family", *(TITLES[name] for name in names)]
    rows = [
        [result["family"].name, *(cell(result, name) for name in names)]
        for result in results
    ]
    return table(header, rows)


def summary(result):
    """One line for the terminal."""
    return "  ".join(
        f"{TITLES[name]} {np.median(rates(result, name)):.0f}/s"
        for name in result["units"]
    )


def provenance():
    """Date, machine and versions, on one line."""
    versions = []
    for package in ("keras", "tensorflow", "jax", "torch", "numpy"):
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        versions.append(f"{package} {found}")
    return (
        f"{datetime.date.today()} · {os.cpu_count()} CPU cores, "
        f"{platform.machine()}{graphics()} · "
        f"Python {platform.python_version()} · " + ", ".join(versions)
    )


def graphics():
    """Names of NVIDIA's cards, which are then what trains."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return "".join(f" · {name}" for name in found.stdout.splitlines())


def settings(results, effort, minutes):
    """How the numbers below were made."""
    rounds = len(results[0]["rounds"])
    return f"""\
Images: {describe_images()}; ratings and token ids are random, of the
chapters' shapes. float32 throughout. Settings of the chapters: Adam with a
rate that falls along a cosine; 32 to 50 batches an execution, 1 on PyTorch,
which refuses more. A rate is that of an epoch of `fit` on three data sizes;
what `fit` does before its first epoch is told apart. Each number is the
median of {rounds} rounds, in brackets the least and the largest. In a round
contenders take turns: each trains a little to warm up, uncounted, then once
on each size. Ratios are taken within a round.
A contender's smallest size is what it trains on in about {effort.seconds}
seconds. The PyTorch loop is written by hand, with batches picked by a random
permutation. This run took
{minutes:.1f} minutes."""


def page(results, effort, minutes):
    """The whole page."""
    keras = [name for name in results[0]["units"] if name != LOOP]
    parts = [
        "# Training speed",
        "Written by `make bench`; do not edit.",
        provenance(),
        settings(results, effort, minutes),
        "## Reading",
        "\n".join(f"- {line}" for line in reading(results)),
        "## Examples a second",
        per_contender(results, lambda r, n: spread(rates(r, n), "{:.0f}")),
    ]
    if LOOP in results[0]["units"]:
        parts += [
            "## Against the PyTorch loop",
            "Above 1 is faster than the loop by hand.",
            per_contender(
                results, lambda r, n: spread(ratios(r, n), "{:.2f}"), keras
            ),
            "The same by processor time, which counts both cores and not "
            "the waiting: above 1 is less work.",
            per_contender(
                results,
                lambda r, n: spread(work_ratios(r, n), "{:.2f}"),
                keras,
            ),
            "## The same model?",
            alike_words(results),
            alike_table(results),
        ]
    parts += [*machine_parts(results), *growth_parts(results)]
    return "\n\n".join(parts) + "\n"


def last_section(path):
    """The section of ``to_quality.py`` on an older page; "" where none is."""
    if not path.exists():
        return ""
    _, heading, words = path.read_text("utf-8").partition(TO_QUALITY)
    return f"\n{heading}{words}" if heading else ""


def alike_words(results):
    """What the table of losses shows."""
    return (
        "Parameters, and the mean training loss of the last epoch after so "
        "many steps: same weights at the start, same batch size and "
        "optimiser; other draws of noise and orders of the rows (the median "
        "of a few, in brackets the least and the largest)."
    )


def alike_table(results):
    """Parameters and losses of all contenders."""
    names = list(results[0]["units"])
    header = ["family", "parameters", "steps", *(TITLES[n] for n in names)]
    rows = [
        [
            result["family"].name,
            f"{result['parameters']:,}",
            str(result["check_steps"]),
            *(spread(result["losses"][name], "{:.4g}") for name in names),
        ]
        for result in results
    ]
    return table(header, rows)


def machine_parts(results):
    """Share of the machine's rate, and memory."""
    products = [entry["product_rate"] for r in results for entry in r["rounds"]]
    parts = []
    if results[0]["flops"] is not None:
        rate = spread(np.array(products) / 1e9, "{:.0f}")
        parts = [
            "## Share of the machine",
            f"A float32 product of two 1024 × 1024 matrices in NumPy, timed "
            f"in every round, makes {rate} billion operations a second. "
            "Below: operations a second of a model's products and "
            "convolutions, forward and backward, as PyTorch counts them in "
            "one step, by that rate. What is left goes to everything else: "
            "activations, losses, Adam, moving rows.",
            per_contender(results, lambda r, n: spread(shares(r, n), "{:.2f}")),
        ]
    return [
        *parts,
        "## Peak memory",
        "Largest resident size of each process in MB, imports and data "
        "included.",
        per_contender(
            results,
            lambda r, n: memory_cell(r["memory"][n]),
        ),
    ]


def memory_cell(megabytes):
    """Rounded; a dash where the system does not tell."""
    return "–" if megabytes is None else f"{megabytes:.0f}"


def setup_cell(result, name):
    """Milliseconds of a call of ``fit`` before its first epoch."""
    runs = [entry["runs"][name] for entry in result["rounds"]]
    return f"{1000 * np.median([r[max(r)].setup for r in runs]):.0f}"


def growth_parts(results):
    """Cost against the size of the data."""
    names = [n for n in results[0]["units"] if n != "torch"]
    header = ["family"]
    header += [f"{TITLES[n]}, {size}×" for n in names for size in (2, 4)]
    rows = []
    for result in results:
        cells = [growth(result, n, size) for n in names for size in (2, 4)]
        rows.append([result["family"].name, *(f"{c:.2f}" for c in cells)])
    return [
        "## Cost against data",
        "Seconds for twice and for four times the data, by two and four "
        "times the seconds for once: 1 is linear, below 1 is a fixed cost an "
        "epoch that larger data share.",
        table(header, rows),
        "What `fit` does before its first epoch, in milliseconds a call, at "
        "the largest size: checks of the data, its copy for the backend, the "
        "pipeline of batches. Compiling, which only a first call does, is "
        "not in it.",
        per_contender(results, setup_cell, [n for n in names if n != LOOP]),
    ]


def reading(results):
    """What the tables say, in sentences."""
    lines = [fastest_words(results), *convolution_words(results)]
    if LOOP in results[0]["units"]:
        lines += claim_words(results)
        lines += slow_words(results)
        lines += unlike_words(results)
    return [*lines, growth_words(results)]


def fastest_words(results):
    """Which backend is the fastest on which family."""
    by_backend = {}
    for result in results:
        keras = [name for name in result["units"] if name != LOOP]
        if keras:
            best = max(keras, key=lambda n: np.median(rates(result, n)))
            by_backend.setdefault(best, []).append(result["family"].name)
    parts = [
        f"{TITLES[name]} on {', '.join(families)}"
        for name, families in by_backend.items()
    ]
    return f"The fastest backend: {'; '.join(parts)}."


def convolution_words(results):
    """JAX's convolutions against TensorFlow's."""
    both = {"jax", "tensorflow"}
    found = [
        float(np.median(rates(r, "jax") / rates(r, "tensorflow")))
        for r in results
        if "convolutional" in r["family"].name and both <= set(r["units"])
    ]
    if not found or np.median(found) >= 1.0:
        return []
    return [
        f"On the convolutional families JAX reaches {min(found):.2f} to "
        f"{max(found):.2f} of TensorFlow's rate: XLA has no fast "
        "convolutions for processors. On a machine without a GPU choose "
        "TensorFlow for images with convolutions, JAX for dense layers."
    ]


def claim_words(results):
    """What was promised, and what was measured."""
    lines = []
    by_name = {result["family"].name: result for result in results}
    for name, backend, least in CLAIMS:
        if name in by_name and backend in by_name[name]["units"]:
            found = float(np.median(ratios(by_name[name], backend)))
            verdict = "reached" if found >= least else "missed"
            lines.append(
                f"{name} on {TITLES[backend]}: {found:.2f} × the loop; the "
                f"goal, {least} ×, is {verdict}."
            )
    return lines


def slow_words(results):
    """Families that TensorFlow trains clearly slower than the loop."""
    lines = []
    for result in results:
        if "tensorflow" not in result["units"]:
            continue
        found = float(np.median(ratios(result, "tensorflow")))
        if found < SLOW:
            reason = result["family"].reason or "the reason is not known yet."
            name = result["family"].name
            lines.append(
                f"{name} runs at {found:.2f} × the loop on TensorFlow: {reason}"
            )
    return lines or [f"No family on TensorFlow is below {SLOW} × the loop."]


def unlike_words(results):
    """Contenders whose loss is not the loop's."""
    lines = [
        f"After as many steps {result['family'].name} on {TITLES[name]} has "
        f"a loss {100 * alike(result, name):+.0f} % from the loop's."
        for result in results
        for name in result["units"]
        if abs(alike(result, name)) > ALIKE
    ]
    return lines or [
        "After as many steps all losses agree with the loop's, within "
        f"{100 * ALIKE:.0f} % or what another order of the rows would do: "
        "the same models were timed."
    ]


def growth_words(results):
    """Whether the cost is linear in the data."""
    found = {
        (result["family"].name, TITLES[name]): growth(result, name, 4)
        for result in results
        for name in result["units"]
        if name not in (LOOP, "torch")
    }
    if not found:
        return "Cost against data was not measured."
    far = [
        f"{family} on {backend} ({ratio:.2f})"
        for (family, backend), ratio in found.items()
        if abs(ratio - 1.0) > LINEAR
    ]
    if far:
        return (
            "Four times the data cost four times as much within "
            f"{100 * LINEAR:.0f} %, but for {', '.join(far)}."
        )
    return (
        "Four times the data cost four times as much within "
        f"{100 * LINEAR:.0f} %, for every family and backend."
    )
