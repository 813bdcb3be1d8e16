"""The nbgrader course: what is handed out, and that grades are honest."""

import csv
import re
import shutil

import build_assignments as tool
import grade
import jupytext
import nbformat
import numpy as np
import pytest
from nbgrader.api import Gradebook
from nbgrader.preprocessors import (
    ClearHiddenTests,
    ClearMarkScheme,
    ClearSolutions,
)
from sittings import ROOT, sources, tags

each_source = pytest.mark.parametrize(
    "path", sources(), ids=[path.stem for path in sources()]
)


def about(cell):
    return cell.metadata["nbgrader"]


@each_source
def test_assignment_grades_every_exercise_and_locks_the_rest(path):
    notebook = tool.assignment(path)
    text = path.read_text("utf-8")
    cells = [cell for cell in notebook.cells if cell.metadata]
    words = [cell for cell in notebook.cells if not cell.metadata]
    graded = [cell for cell in cells if about(cell)["grade"]]
    answers = [cell for cell in cells if about(cell)["solution"]]
    asked = [cell for cell in cells if about(cell)["task"]]
    assert len(graded) == len(answers) == text.count("\n# ### Exercise ") > 0
    assert len(asked) == len(words) == text.count("(open)")
    assert all(about(cell)["points"] > 0 for cell in graded + asked)
    assert all(about(cell)["locked"] for cell in graded + asked)
    ids = [about(cell)["grade_id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    unlocked = [cell for cell in cells if not about(cell)["locked"]]
    assert unlocked == answers
    assert not any("outputs" in c and c.outputs for c in notebook.cells)
    nbformat.validate(notebook)


def words(text):
    return " ".join(text.split())


def secrets_of(path):
    """By exercise what only its answer has, line by line and as a whole."""
    secrets, given, number = {}, [], None
    for cell in jupytext.read(path).cells:
        heading = tool.EXERCISE.search(cell.source)
        number = heading[1] if heading else number
        before, begin, rest = cell.source.partition(tool.BEGIN)
        inside, _, after = rest.partition(tool.END)
        if "discussion" in tags(cell):
            before, inside = "", cell.source
        given += [before, after] if tags(cell) else []  # the chapter's own: no
        secrets.setdefault(number, []).extend([inside, *inside.splitlines()])
    given = words("\n".join(given))
    return {
        number: [
            line
            for line in map(words, lines)
            if len(line) > 12 and line not in given
        ]
        for number, lines in secrets.items()
        if number
    }


def hand_out(notebook):
    """What nbgrader leaves of a notebook that it releases."""
    for clear in (ClearSolutions, ClearHiddenTests, ClearMarkScheme):
        notebook, _ = clear().preprocess(notebook, {})
    return notebook


def leaked(notebook, secrets):
    """Exercises of which something stands in a notebook, wherever."""
    cells = [words(cell.source) for cell in notebook.cells]
    return {
        number
        for number, lines in secrets.items()
        if any(line in cell for line in lines for cell in cells)
    }


@each_source
def test_nothing_of_an_answer_is_in_what_is_handed_out(path):
    source, secrets = tool.assignment(path), secrets_of(path)
    text = "\n".join(cell.source for cell in source.cells)
    exercises = {found[1] for found in tool.EXERCISE.finditer(text)}
    assert set(secrets) == exercises
    assert all(secrets.values())
    assert leaked(source, secrets) == exercises  # the search finds answers
    notebook = hand_out(source)
    assert leaked(notebook, secrets) == set()
    assert "_grading" not in nbformat.writes(notebook)
    for number, lines in secrets.items():  # one line of one is enough
        notebook.cells[0].source += f"\n{lines[-1]}"
        assert number in leaked(notebook, secrets)


def test_points_grow_with_the_answer():
    def answer(lines):
        inside = "\n".join(["x = 1"] * lines)
        return f"def f():\n{tool.BEGIN}\n{inside}\n{tool.END}\n"

    points = [tool.points_of(answer(lines)) for lines in (1, 3, 4, 12, 13)]
    assert points == [5, 5, 10, 10, 15]


# ------------------------------------- a course of two exercises, graded

SOURCE = '''\
# %% [markdown]
# # Chapter 99 · Sums

# %% tags=["setup"]
from utils.checks import chapter_99 as checks

# %% [markdown] tags=["exercise"]
# ### Exercise 99.1 · Two
# What is one and one?

# %% tags=["exercise"]
answer_99_1 = None
### BEGIN SOLUTION
answer_99_1 = 1 + 1
### END SOLUTION

# %% tags=["check"]
checks.check_99_1(answer_99_1)

# %% [markdown] tags=["discussion"]
# Told afterwards.

# %% [markdown] tags=["exercise"]
# ### Exercise 99.2 · Double (open)
# Of $x_1$.

# %% tags=["exercise"]
def double(x):
    """Return twice x."""
    ### BEGIN SOLUTION
    half = x
    half = half + 0
    twice = half + half
    return twice
    ### END SOLUTION

# %% tags=["check"]
checks.check_99_2(double)

# %% [markdown] tags=["discussion"]
# Twice is a sum.
'''
CHECKS = """\
import numpy as np

from utils.checks._feedback import CheckFailed


def check_99_1(answer):
    if answer != 2:
        raise CheckFailed("Count again.")
    print("correct")


def check_99_2(answer):
    x = int(np.random.default_rng(0).integers(10**6))
    if answer(x) != 2 * x:
        failed = CheckFailed("Not twice.")
        failed.share = 0.2 * isinstance(answer(x), int)
        raise failed
    print("correct")
"""
FEEDBACK = """\
class CheckFailed(AssertionError):
    share = 0.0

    def _render_traceback_(self):
        return [str(self)]
"""
RIGHT = {
    "answer-99-1": "answer_99_1 = 2.0",
    "answer-99-2": "def double(x):\n    return 2 * x",
}
WRONG = "answer_99_1 = 3"
X = int(np.random.default_rng(0).integers(10**6))  # what check_99_2 asks
BY_HEART = f"def double(x):\n    return {2 * X} if x == {X} else 0"
REPLACED = "checks.check_99_1 = lambda answer: None\nanswer_99_1 = 3"
CLASS = "class checks:\n    check_99_1 = check_99_2 = print"
LOOP = "import time\nwhile True:\n    time.sleep(1)"
TALK = "answer_99_1 = 2.0\nprint(10**6 * 'word ')"
SUBMISSIONS = {  # student → what cells become, and the points expected
    "right": (RIGHT, 15),
    "untouched": ({}, 0),
    "two_wrong": (
        {"answer-99-1": WRONG, "answer-99-2": "def double(x):\n    return ''"},
        0,
    ),
    "partly": ({**RIGHT, "answer-99-2": "def double(x):\n    return x"}, 7),
    "by_heart": ({**RIGHT, "answer-99-2": BY_HEART}, 7),
    "replaced_check": ({**RIGHT, "answer-99-1": REPLACED}, 10),
    "edited_check": ({"check-99-1": "pass", "answer-99-1": WRONG}, 0),
    "edited_set_up": ({**RIGHT, "answer-99-1": WRONG, "text-0": CLASS}, 10),
    "deleted_cells": (
        {**RIGHT, "check-99-1": None, "answer-99-2": None, "check-99-2": None},
        5,
    ),
    "endless": ({**RIGHT, "answer-99-1": LOOP}, 10),
    "talkative": ({**RIGHT, "answer-99-1": TALK}, 15),
    "renamed": (RIGHT, 15),
    "no_notebook": (None, 0),
}
# how Canvas and Moodle call what they give out; else a folder a student
FILES = {
    "right": "doeann_LATE_1815_90210_99_sums-1.ipynb",
    "untouched": "Ben Roe_1816_assignsubmission_file/99_sums.ipynb",
    "renamed": "renamed/99 sums (final).ipynb",
}
IDS = {"right": "1815", "untouched": "1816"}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Folder of a course, released; and nbgrader for it."""
    folder = tmp_path_factory.mktemp("course")
    package = folder / "installed" / "utils" / "checks"
    package.mkdir(parents=True)
    for name, text in (
        ("__init__", ""),
        ("_feedback", FEEDBACK),
        ("_grading", (ROOT / "utils/checks/_grading.py").read_text("utf-8")),
        ("chapter_99", CHECKS),
    ):
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (package.parent / "__init__.py").write_text("", encoding="utf-8")
    source = folder / "99_sums.py"
    source.write_text(SOURCE, encoding="utf-8")
    at = folder / "source" / "99_sums"
    at.mkdir(parents=True)
    nbformat.write(tool.assignment(source), at / "99_sums.ipynb")
    settings = tool.CONFIG.read_text("utf-8").replace("= 60 ", "= 5 ")
    (folder / tool.CONFIG.name).write_text(settings, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "installed"))
        assert tool.release(["99_sums"], folder) == []
        hand_in(folder)
        notes = grade.collect("99_sums", folder)
        results = list(grade.grade("99_sums", folder, jobs=2))
        assert [failed for *_, failed in results if failed] == []
        grade.export(folder)
        yield folder, notes


def hand_in(folder):
    """Every submission, as a system's archive would hold it."""
    for student, (changes, _) in SUBMISSIONS.items():
        file = FILES.get(student, f"{student}/99_sums.ipynb")
        path = folder / "downloaded" / "99_sums" / "archive" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if changes is None:
            path.write_text("a holiday snapshot", encoding="utf-8")
            continue
        notebook = released(folder)
        for cell in notebook.cells:
            cell.source = changes.get(grade._id(cell), cell.source)
        notebook.cells = [c for c in notebook.cells if c.source is not None]
        nbformat.write(notebook, path)


def released(folder):
    return nbformat.read(folder / "release" / "99_sums" / "99_sums.ipynb", 4)


# nbgrader's own; what an answer warns of is tested with the checks
pytestmark = pytest.mark.filterwarnings("ignore")


def test_nothing_of_an_answer_is_handed_out(course):
    text = nbformat.writes(released(course[0]))
    for secret in ("1 + 1", "twice = half", "Told afterwards", "reload"):
        assert secret not in text
    assert "Twice is a sum" not in text
    assert text.count("in the cell below. Somebody reads") == 1
    assert text.count("raise NotImplementedError") == 2
    assert "# your answer here" in text


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_points_are_what_the_answers_earn(course):
    head, *table = rows(course[0] / "grades.csv")
    names = ("student_id", "score", "max_score")
    found = [[row[head.index(name)] for name in names] for row in table]
    assert sorted(found) == sorted(
        [IDS.get(student, student), f"{float(points)}", "20.0"]
        for student, (_, points) in SUBMISSIONS.items()
    )


def test_table_for_canvas_and_moodle(course):
    head, most, *table = rows(course[0] / "lms.csv")
    assert head == ["Student", "ID", "SIS Login ID", "Section", "99_sums"]
    assert most == ["Points Possible", "", "", "", "20.0"]
    assert ["1815", "1815", "1815", "", "15.0"] in table
    assert ["partly", "partly", "partly", "", "7.0"] in table
    assert len(table) == len(SUBMISSIONS)


def test_what_was_odd_is_named(course):
    notes = "\n".join(course[1])
    assert "renamed: 99 sums (final).ipynb taken for 99_sums.ipynb" in notes
    assert "no_notebook: 99_sums.ipynb is no notebook" in notes
    assert "deleted_cells: deleted: answer-99-2" in notes
    assert len(course[1]) == 3


def page(folder, student):
    at = folder / "feedback" / student / "99_sums" / "99_sums.html"
    return at.read_text("utf-8")


def test_feedback_shows_the_check_s_sentence_and_no_traceback(course):
    for student, sentence in (
        ("two_wrong", "Count again."),
        ("partly", "Not twice."),
        ("by_heart", "Right on the numbers of the check; on others: Not"),
    ):
        text = page(course[0], student)
        assert sentence in text
        top = text.split("Student's answer")[0]
        assert sentence in top
        assert "Traceback (most recent" not in text
        assert "chapter_99.py" not in text


def test_feedback_asks_nobody_and_sets_its_formulas(course):
    text = page(course[0], "partly")
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text) == []
    assert "<msub><mi>x</mi><mn>1</mn></msub>" in text
    assert "$x&#95;1$" not in text and "$x_1$" not in text


def test_a_reader_s_points_and_words_stay_and_come_back(course):
    folder, student = course[0], IDS["right"]
    assert "A reader gives these points." in page(folder, student)
    assert "Twice is a sum." in page(folder, student)  # what is looked for
    where = ("words-99-2", "99_sums", "99_sums", student)
    book = grade.grader(folder).config.CourseDirectory.db_url
    with Gradebook(book) as gradebook:
        gradebook.find_grade(*where).manual_score = 4
        gradebook.find_comment(*where).manual_comment = "Well said."
        gradebook.db.commit()
    for again in (True, False):  # pages alone, then all that is executed
        assert grade.grade_one("99_sums", student, folder, again)[2] is None
        assert "99.2, in words" in page(folder, student)
        assert "Well said." in page(folder, student).split("In [")[0]
    points, most, read = grade.scores("99_sums", folder)
    assert (points[student], most, read) == (19, 20, 5)


def test_megabytes_of_output_are_cut(course):
    assert "… cut" in page(course[0], "talkative")
    size = len(page(course[0], "talkative")) - len(page(course[0], "partly"))
    assert size < 50_000


# ------------------------------------------- the demonstration of a sitting


def test_demonstration_hands_in_four_submissions(tmp_path):
    (name,) = tool.write_course(grade.SMALL, tmp_path)
    shutil.copytree(tmp_path / "source", tmp_path / "release")
    expected = grade.demo_hand_ins(name, tmp_path)
    at = tmp_path / "downloaded" / name / "archive"
    assert {path.name for path in at.iterdir()} == set(expected)
    assert expected["right"] > expected["endless"] > expected["two_wrong"] > 0
    texts = {
        student: (at / student / f"{name}.ipynb").read_text("utf-8")
        for student in expected
    }
    assert texts["two_wrong"].count(grade.GUESS) == 2
    assert "while True" in texts["endless"]
