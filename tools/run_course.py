"""Execute every chapter headless; used by ``make run`` and ``make full``.

    python tools/run_course.py                quick profile
    python tools/run_course.py 02             only chapters whose name has 02
    python tools/run_course.py --full         full profile
    python tools/run_course.py --record       also rewrite docs/results.md
    python tools/run_course.py --jobs 1       one after the other

As many chapters run at a time as there are cores, the slowest first, each
with its share of the cores. Executed copies go to ``build/``. A chapter that
fails is reported and the others still run; the exit status is then 1.
"""

import argparse
import os
import sys

import nbformat
import results_page
from build_notebooks import count_asserts, save_gallery, write
from sittings import MEMORY, ROOT, Sitting, room, run_all, sources


def slowest_first(stems, profile):
    """Sort chapters by the times of the results page, new ones in front."""
    seconds = results_page.times(profile)
    return sorted(stems, key=lambda stem: -seconds.get(stem, float("inf")))


def prepare(stem, profile):
    """A chapter to execute."""
    folder = ROOT / "chapters"
    environment = results_page.environment_for(stem, profile)
    if os.environ.get("COURSE_DATA"):  # kernels start in chapters/
        environment["COURSE_DATA"] = os.path.abspath(os.environ["COURSE_DATA"])
    notebook = nbformat.read(folder / f"{stem}.ipynb", 4)
    return Sitting(stem, notebook, folder, environment)


def table(sittings):
    """Lines of the summary: time, peak memory and asserts of each chapter."""
    yield f"{'chapter':<28}{'seconds':>8}{'memory':>9}  checks"
    for sitting in sorted(sittings, key=lambda sitting: sitting.name):
        memory = f"{sitting.memory / 1024**2:.0f} MB"
        checks = f"{count_asserts(sitting.notebook)} asserts"
        if sitting.error is not None:
            checks = "FAILED"
        elif sitting.memory > MEMORY:
            checks += f"; more than {MEMORY // 1024**2} MB"
        yield f"{sitting.name:<28}{sitting.seconds:>8.0f}{memory:>9}  {checks}"


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--jobs", type=int, default=room())
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8
    profile = "full" if options.full else "quick"
    stems = [path.stem for path in sources(options.pattern)]
    if not stems:
        parser.error(f"no chapter has {options.pattern!r} in its name")
    sittings = [prepare(s, profile) for s in slowest_first(stems, profile)]
    for sitting in run_all(sittings, options.jobs):
        copy = ROOT / "build" / profile / f"{sitting.name}.ipynb"
        write(sitting.notebook, copy)
        if sitting.error is not None:
            continue
        if options.full:
            save_gallery(sitting.notebook, ROOT / "docs" / "images")
        if options.record:
            tables = results_page.read_tables(sitting.environment)
            results_page.write(profile, sitting.name, sitting.seconds, tables)
    print()
    print("\n".join(table(sittings)))
    failed = [sitting for sitting in sittings if sitting.error is not None]
    for sitting in failed:
        print(f"\n{sitting.name} failed {sitting.error}\n{sitting.details}")
    print(f"\nExecuted copies: build/{profile}/")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
