"""Execute every chapter headless; used by ``make run`` and ``make full``.

    python tools/run_course.py                quick profile
    python tools/run_course.py --full         full profile, docs/results.md
    python tools/run_course.py --full 02      one chapter's part of that page
    python tools/run_course.py 02             only chapters whose name has 02

Executed copies go to ``build/``. A chapter that fails is reported and the
others still run; the exit status is then 1.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import sys

import nbformat
from build_notebooks import (
    ROOT,
    count_asserts,
    execute,
    save_gallery,
    sources,
    write,
)
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from utils._files import write_whole

RESULTS = ROOT / "docs" / "results.md"


def run_chapter(stem, profile, results):
    """Execute one chapter; return ``(seconds, asserts, error or None)``."""
    path = ROOT / "chapters" / f"{stem}.ipynb"
    notebook = nbformat.read(path, 4)
    asserts = count_asserts(notebook)
    collected = results / "results.jsonl"
    collected.unlink(missing_ok=True)
    start = datetime.datetime.now()
    error = None
    try:
        execute(
            notebook,
            path.parent,
            COURSE_PROFILE=profile,
            COURSE_RESULTS=str(results),
        )
    except (CellExecutionError, CellTimeoutError) as raised:
        error = str(raised)
    seconds = (datetime.datetime.now() - start).total_seconds()
    write(notebook, ROOT / "build" / profile / f"{stem}.ipynb")
    if profile == "full" and error is None:
        save_gallery(notebook, ROOT / "docs" / "images")
    return seconds, asserts, error


def read_tables(results):
    """Tables that the last chapter recorded."""
    collected = results / "results.jsonl"
    if not collected.exists():
        return []
    lines = collected.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def markdown_table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance():
    """Date, machine and versions of this run, on one line."""
    keras_version = importlib.metadata.version("keras")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return (
        f"{datetime.date.today()} · {os.cpu_count()} CPU cores, "
        f"{platform.machine()} · Python {platform.python_version()} · "
        f"keras {keras_version} on {backend} "
        f"{importlib.metadata.version(backend)}"
    )


def read_sections():
    """Sections of the page as it stands, by chapter."""
    if not RESULTS.exists():
        return {}
    _, *parts = re.split(r"^## ", RESULTS.read_text("utf-8"), flags=re.M)
    return {part.split()[0]: f"## {part}".strip() for part in parts}


def write_results(sections):
    """Rewrite on the results page the sections of the chapters just run."""
    known = read_sections()
    for stem, seconds, tables in sections:
        parts = [f"## {stem} ({seconds:.0f} s)", provenance()]
        for table in tables:
            parts.append(f"**{table['title']}**")
            parts.append(markdown_table(table["header"], table["rows"]))
        known[stem] = "\n\n".join(parts)
    stems = [path.stem for path in sources()]
    page = [
        "# Results, full profile",
        "Written by `make full`; do not edit. Errors are on test rows, which "
        "nothing was fitted to or chosen by; ± is the standard deviation over "
        "seeds.",
        *(known[stem] for stem in stems if stem in known),
    ]
    write_whole(RESULTS, "\n\n".join(page) + "\n")


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8
    profile = "full" if options.full else "quick"
    results = ROOT / "build" / "results"
    results.mkdir(parents=True, exist_ok=True)
    if os.environ.get("COURSE_DATA"):  # kernels start in chapters/
        os.environ["COURSE_DATA"] = os.path.abspath(os.environ["COURSE_DATA"])
    stems = [path.stem for path in sources(options.pattern)]
    summary, sections, errors = [], [], []
    for index, stem in enumerate(stems, start=1):
        print(f"[{index}/{len(stems)}] {stem} ...", end=" ", flush=True)
        seconds, asserts, error = run_chapter(stem, profile, results)
        print("FAILED" if error else f"{seconds:.0f} s", flush=True)
        passed = "FAILED" if error else f"{asserts} of {asserts}"
        summary.append((stem, f"{seconds:.0f}", passed))
        sections.append((stem, seconds, read_tables(results)))
        if error:
            errors.append(f"\n{stem} failed:\n{error}")
    print(f"\n{'chapter':<28}{'seconds':>8}  checks passed")
    for stem, seconds, passed in summary:
        print(f"{stem:<28}{seconds:>8}  {passed}")
    for error in errors:
        print(error)
    print(f"\nExecuted copies: build/{profile}/")
    if options.full and not errors:
        write_results(sections)
        print(f"Rewrote {RESULTS.relative_to(ROOT)}")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
