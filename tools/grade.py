"""Collect, grade, give feedback and export, all from what was handed in.

    python tools/grade.py 02a          what lies in downloaded/02a_…/archive
    python tools/grade.py 02a --again  pages and tables anew, after reading
    python tools/grade.py --demo       four made-up submissions, one sitting
    python tools/grade.py --demo all   the same for every sitting

What Moodle or Canvas gives you (an archive, or a folder for each student)
goes to ``build/course/downloaded/NAME/archive``. Each student's notebook is
graded in a process and kernel of its own, as many at a time as memory allows.
``feedback/STUDENT/NAME/NAME.html`` is the page for a student, ``grades.csv``
nbgrader's own table, ``lms.csv`` the one for Canvas or Moodle.
"""

import argparse
import ast
import concurrent.futures
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import warnings

import nbformat
from build_assignments import COURSE, grader, release, write_course
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin
from sittings import room, sources

SMALL = "06e"  # the sitting of the demonstration
# mistakes that a check names, in place of the answer; other exercises get text
GUESS = "a guess"


# ------------------------------------------------------------- collect


def collect(name, folder=COURSE):
    """Sort what was handed in by student; returns a note on each oddity."""
    notes = []
    submitted = folder / "submitted"
    # in a process of its own: nbgrader's programs set up logging anew, which
    # closes the handlers of whoever calls them
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nbgrader", "zip_collect", name),
            f"--CourseDirectory.root={folder.absolute()}",
            "--ZipCollectApp.force=True",
            "--Application.log_level=ERROR",
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        notes.append(f"{name}: not collected: {done.stderr.strip()}")
    for at in sorted(submitted.glob(f"*/{name}")):
        notes += [f"{at.parent.name}: {note}" for note in mend(at, folder)]
    return notes


def mend(at, folder=COURSE):
    """Make a hand-in one that nbgrader can grade; returns what was odd.

    A single notebook of another name gets the assignment's; what cannot be
    read is put aside and an answer cell that was deleted comes back empty.
    """
    name = at.name
    path = at / f"{name}.ipynb"
    others = [p for p in at.glob("*.ipynb") if p != path]
    notes = []
    if not path.exists() and len(others) == 1:
        notes.append(f"{others[0].name} taken for {path.name}")
        others[0].rename(path)
    given = nbformat.read(folder / "release" / name / f"{name}.ipynb", 4)
    try:
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
    except FileNotFoundError:
        notes.append(f"no notebook {path.name}: no points")
    except Exception as error:  # not JSON, not a notebook, another version
        notes.append(f"{path.name} is no notebook ({error!s:.80}): no points")
        path.rename(path.with_suffix(".unreadable"))
    if not path.exists():
        nbformat.write(given, path)  # untouched, so it earns nothing
        return notes
    there = {_id(cell) for cell in notebook.cells}
    gone = [
        cell
        for cell in given.cells
        if _id(cell).startswith("answer-") and _id(cell) not in there
    ]
    if gone:
        notes.append(f"deleted: {', '.join(map(_id, gone))}")
        notebook.cells += gone
        nbformat.write(notebook, path)
    return notes


def _id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


# --------------------------------------------------------------- grade


def grade_one(name, student, folder=COURSE, again=False):
    """Grade one notebook, unless again, and write its page of feedback.

    Returns:
        ``(student, processor seconds, what failed or None)``.
    """
    start = sum(os.times()[:4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nbgrader's libraries
        api = grader(folder)
        steps = (api.autograde, api.generate_feedback)
        for step in steps[again:]:
            done = step(name, student, force=True)
            if not done["success"]:
                failed = f"{student}: {done['error'] or done['log']}"
                return student, sum(os.times()[:4]) - start, failed
    return student, sum(os.times()[:4]) - start, None


def grade(name, folder=COURSE, jobs=None, again=False):
    """Grade all who handed in an assignment, several at a time.

    Yields:
        ``(student, processor seconds, what failed or None)``, as they end.
    """
    students = sorted(p.parent.name for p in folder.glob(f"submitted/*/{name}"))
    with concurrent.futures.ProcessPoolExecutor(
        max(1, min(jobs or room(), len(students))),
        multiprocessing.get_context("spawn"),
    ) as pool:
        pending = [
            pool.submit(grade_one, name, student, folder, again)
            for student in students
        ]
        for done in concurrent.futures.as_completed(pending):
            yield done.result()


def export(folder=COURSE):
    """Write ``grades.csv`` and ``lms.csv`` of all that was graded."""
    config = grader(folder).config
    system = config.Course.export_plugin
    with Gradebook(config.CourseDirectory.db_url) as book:
        for plugin, file in ((CsvExportPlugin, "grades"), (system, "lms")):
            plugin(to=str(folder / f"{file}.csv")).export(book)


def scores(name, folder=COURSE):
    """Points of each student, the most there are, and what a reader gives."""
    found = grader(folder).get_submissions(name)
    most, read = (
        max((each[points] for each in found), default=0)
        for points in ("max_score", "max_task_score")
    )
    return {each["student"]: each["score"] for each in found}, most, read


# ------------------------------------------------------- demonstration


def wrong_answer(cell, check):
    """An answer cell that ends in a guess for what its check is given."""
    (call,) = [n for n in ast.walk(ast.parse(check)) if isinstance(n, ast.Call)]
    lines = [cell]
    for name in (n.id for n in call.args[:1] if isinstance(n, ast.Name)):
        if f"def {name}(" in cell:
            lines.append(f"def {name}(*inputs, **named):\n    return {GUESS!r}")
        else:
            lines.append(f"{name} = {GUESS!r}")
    return "\n\n\n".join(lines)


def demo_hand_ins(name, folder=COURSE):
    """Put four made-up submissions where a system's archive goes.

    Returns:
        The points that each should earn, a dict by student.
    """
    at = folder / "downloaded" / name / "archive"
    shutil.rmtree(at.parent, ignore_errors=True)
    for old in folder.glob(f"submitted/*/{name}"):
        shutil.rmtree(old)
    source = nbformat.read(folder / "source" / name / f"{name}.ipynb", 4)
    cells = {_id(cell): cell.source for cell in source.cells}
    points = {
        _id(cell).removeprefix("check-"): cell.metadata["nbgrader"]["points"]
        for cell in source.cells
        if _id(cell).startswith("check-")
    }
    right = {f"answer-{n}": cells[f"answer-{n}"] for n in points}
    two = list(points)[:2]
    calls = {n: cells[f"check-{n}"].splitlines()[-1] for n in two}
    wrong = {
        f"answer-{n}": wrong_answer(right[f"answer-{n}"], calls[n]) for n in two
    }
    # a loop that sleeps: it takes time and no processor
    loop = "import time\n\nwhile True:\n    time.sleep(1)"
    all_of_them = {
        "right": right,
        "two_wrong": {**right, **wrong},
        "untouched": {},
        "endless": {**right, f"answer-{two[0]}": loop},
    }
    for student, answers in all_of_them.items():
        given = nbformat.read(folder / "release" / name / f"{name}.ipynb", 4)
        for cell in given.cells:
            cell.source = answers.get(_id(cell), cell.source)
        (at / student).mkdir(parents=True)
        nbformat.write(given, at / student / f"{name}.ipynb")
    most = sum(points.values())
    return {
        "right": most,
        "two_wrong": most - sum(points[n] for n in two),
        "untouched": 0,
        "endless": most - points[two[0]],
    }


# ------------------------------------------------------------------ all


def run(name, folder=COURSE, jobs=None, expected=None, again=False):
    """Collect, grade and print one assignment; returns what went wrong."""
    notes = [] if again else collect(name, folder)
    seconds, failed = {}, []
    for student, spent, failure in grade(name, folder, jobs, again):
        seconds[student] = spent
        failed += [failure] if failure else []
    earned, most, read = scores(name, folder)
    reader = f", {read:g} of them by a reader" if read else ""
    print(f"{name}: {most:g} points{reader}; processor seconds in brackets")
    for student in sorted(seconds):
        points = earned.get(student, 0)
        print(f"  {student:<24}{points:>6g}   ({seconds[student]:.0f})")
        if expected and points != expected[student]:
            failed.append(f"{student}: {points:g}, not {expected[student]:g}")
    for note in notes:
        print(f"  note: {note}")
    for failure in failed:
        print(f"  FAILED {failure}")
    return failed


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--jobs", type=int, default=None)
    options = parser.parse_args()
    folder, pattern = COURSE, options.pattern
    start = time.perf_counter()
    failed = []
    if options.demo:  # beside the course, whose grades stay as they are
        folder = COURSE.with_name("grade-demo")
        shutil.rmtree(folder, ignore_errors=True)
        pattern = "" if pattern == "all" else pattern or SMALL
        names = write_course(pattern, folder)
        failed = release(names, folder)
    else:
        names = [path.stem for path in sources(pattern)]
        names = [n for n in names if (folder / "downloaded" / n).exists()]
        if not names:
            parser.error(f"nothing in {folder / 'downloaded'}")
    for name in names:
        expected = demo_hand_ins(name, folder) if options.demo else None
        failed += run(name, folder, options.jobs, expected, options.again)
    export(folder)
    print(f"{folder}: grades.csv, lms.csv, feedback/")
    print(f"{time.perf_counter() - start:.0f} s")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
