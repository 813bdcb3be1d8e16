"""Execute every chapter headless; used by ``make run`` and ``make full``.

    python tools/run_course.py                quick profile
    python tools/run_course.py 02             only chapters whose name has 02
    python tools/run_course.py --full         full profile
    python tools/run_course.py --record       also rewrite docs/results.md

Executed copies go to ``build/``. A chapter that fails is reported and the
others still run; the exit status is then 1.
"""

import argparse
import datetime
import json
import os
import sys

import nbformat
import results_page
from build_notebooks import (
    ROOT,
    count_asserts,
    execute,
    save_gallery,
    sources,
    write,
)
from nbclient.exceptions import CellExecutionError, CellTimeoutError


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


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8
    profile = "full" if options.full else "quick"
    results = ROOT / "build" / "results"
    results.mkdir(parents=True, exist_ok=True)
    if os.environ.get("COURSE_DATA"):  # kernels start in chapters/
        os.environ["COURSE_DATA"] = os.path.abspath(os.environ["COURSE_DATA"])
    stems = [path.stem for path in sources(options.pattern)]
    summary, errors = [], []
    for index, stem in enumerate(stems, start=1):
        print(f"[{index}/{len(stems)}] {stem} ...", end=" ", flush=True)
        seconds, asserts, error = run_chapter(stem, profile, results)
        print("FAILED" if error else f"{seconds:.0f} s", flush=True)
        passed = "FAILED" if error else f"{asserts} of {asserts}"
        summary.append((stem, f"{seconds:.0f}", passed))
        if error:
            errors.append(f"\n{stem} failed:\n{error}")
        elif options.record:
            results_page.write(profile, stem, seconds, read_tables(results))
    print(f"\n{'chapter':<28}{'seconds':>8}  checks passed")
    for stem, seconds, passed in summary:
        print(f"{stem:<28}{seconds:>8}  {passed}")
    for error in errors:
        print(error)
    print(f"\nExecuted copies: build/{profile}/")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
