"""Make an nbgrader course of the exercises in ``build/course``.

    python tools/build_assignments.py          all sittings
    python tools/build_assignments.py 02       those whose name has 02
    python tools/build_assignments.py --seed 7 graded on other numbers

Each sitting is an assignment: its set-up cells, locked, then for each exercise
the statement, a solution cell and its check, graded and locked; after an open
exercise a question that somebody reads, its rubric our own answer. ``source/``
holds them with answers, ``release/`` is what students get. ``tools/grade.py``
collects, grades and exports what they hand in.
"""

import argparse
import os
import re
import shutil
import sys
import sysconfig

import jupytext
import nbformat
from build_notebooks import BEGIN, END, EXERCISE, make_solutions
from sittings import ROOT, sources, tags

COURSE = ROOT / "build" / "course"
CONFIG = ROOT / "tools" / "nbgrader_config.py"
MODULE = re.compile(r"from utils\.checks import (\w+) as checks")
SEED = 1
# lines of an answer up to which it earns so many points; more earn the last
POINTS = ((3, 5), (12, 10), (None, 15))
# in front of a check: it is read anew from the installed package, so that one
# replaced in the notebook earns nothing, asks a function again on numbers that
# nobody saw, and gives a partly right answer points
HIDDEN = """\
### BEGIN HIDDEN TESTS
import importlib

grading = importlib.import_module("utils.checks._grading")
checks = importlib.reload(grading).graded("{module}", {points}, {seed})
### END HIDDEN TESTS
{call}"""
READ = 5  # points of a question in words
QUESTION = """\
### Exercise {number}, in words

Why is your answer right, which of your numbers shows it, and what do they not
show? Two to five sentences in the cell below. Somebody reads them.

<!-- BEGIN MARK SCHEME -->
**What a reader looks for.** {discussion}
<!-- END MARK SCHEME -->"""


def points_of(answer):
    """Points of an exercise, by the number of lines of its answer."""
    inside = answer.split(BEGIN, 1)[1].split(END, 1)[0]
    lines = sum(bool(line.strip()) for line in inside.splitlines())
    return next(p for most, p in POINTS if most is None or lines <= most)


def mark(cell, grade_id, *, solution=False, task=False, points=None):
    """Tell nbgrader what a cell is; what is no solution is locked."""
    about = {
        "schema_version": 3,
        "grade_id": grade_id,
        "solution": solution,
        "grade": points is not None and not task,
        "locked": not solution,
        "task": task,
        "cell_type": cell.cell_type,
    }
    if points is not None:
        about["points"] = points
    cell.metadata = nbformat.from_dict({"nbgrader": about})


def question(number, discussion):
    """A question that a reader grades, and an empty cell to answer it in."""
    text = QUESTION.format(number=number, discussion=discussion)
    asked = nbformat.v4.new_markdown_cell(text)
    mark(asked, f"words-{number.replace('.', '-')}", task=True, points=READ)
    return [asked, nbformat.v4.new_markdown_cell("*Your answer in words.*")]


def assignment(path, seed=SEED):
    """The notebook of one sitting as nbgrader's ``source`` wants it.

    Args:
        path: The sitting's file in ``source/``.
        seed: Of the numbers on which functions are asked again.

    Raises:
        ValueError: an exercise without exactly one solution and one check.
    """
    notebook = make_solutions(jupytext.read(path).cells, path.stem)
    kept, number, points, title = [], None, None, ""
    module = next(
        found[1]
        for cell in notebook.cells
        if (found := MODULE.search(cell.source))
    )
    marked = {}
    for index, cell in enumerate(notebook.cells[1:]):
        kinds = tags(cell)
        if "discussion" in kinds:
            if "(open)" in title:
                kept += question(number.replace("-", "."), cell.source)
            continue
        heading = EXERCISE.search(cell.source)
        if heading and cell.cell_type == "markdown":
            number, title = heading[1].replace(".", "-"), heading[0]
        if BEGIN in cell.source:
            points = points_of(cell.source)
            mark(cell, f"answer-{number}", solution=True)
            marked.setdefault(number, []).append("answer")
        elif "check" in kinds:
            call = cell.source
            cell.source = HIDDEN.format(
                call=call, module=module, points=points, seed=seed
            )
            mark(cell, f"check-{number}", points=points)
            marked.setdefault(number, []).append("check")
        else:
            mark(cell, f"text-{index}")
        kept.append(cell)
    for number, kinds in marked.items():
        if kinds != ["answer", "check"]:
            raise ValueError(f"{path.stem}, exercise {number}: {kinds}")
    notebook.cells = kept
    return notebook


def write_course(pattern="", folder=COURSE, seed=SEED):
    """Write ``source/`` and the settings; returns the assignments' names."""
    names = []
    for path in sources(pattern):
        at = folder / "source" / path.stem
        at.mkdir(parents=True, exist_ok=True)
        nbformat.write(assignment(path, seed), at / f"{path.stem}.ipynb")
        names.append(path.stem)
    shutil.copy(CONFIG, folder / "nbgrader_config.py")
    return names


def grader(folder=COURSE):
    """Nbgrader's programming interface for the course in a folder."""
    # nbgrader looks for the program alembic on the PATH
    programs = sysconfig.get_path("scripts")
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
    from nbgrader.apps import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader(CONFIG.name, str(folder)).load_config()
    config.CourseDirectory.root = str(folder)
    # several processes write to it: each waits for its turn
    book = folder.absolute() / "gradebook.db"
    config.CourseDirectory.db_url = f"sqlite:///{book}?timeout=60"
    return NbGraderAPI(config=config)


def release(names, folder=COURSE):
    """Let nbgrader make ``release/``; returns messages of what failed."""
    api = grader(folder)
    failed = []
    for name in names:
        made = api.generate_assignment(name, force=True, create=True)
        if not made["success"]:
            failed.append(f"{name}: {made['error'] or made['log']}")
    return failed


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    names = write_course(options.pattern, seed=options.seed)
    failed = release(names)
    for message in failed:
        print(message)
    print(f"{len(names) - len(failed)} assignments in {COURSE / 'release'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
