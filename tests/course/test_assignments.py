"""The nbgrader course: what is handed out, and that grades are honest."""

import pathlib

import build_assignments as tool
import nbformat
import pytest
from sittings import sources

each_source = pytest.mark.parametrize(
    "path", sources(), ids=[path.stem for path in sources()]
)


def about(cell):
    return cell.metadata["nbgrader"]


@each_source
def test_assignment_grades_every_exercise_and_locks_the_rest(path):
    notebook = tool.assignment(path)
    text = path.read_text("utf-8")
    graded = [cell for cell in notebook.cells if about(cell)["grade"]]
    answers = [cell for cell in notebook.cells if about(cell)["solution"]]
    assert len(graded) == len(answers) == text.count("\n# ### Exercise ") > 0
    assert all(about(cell)["points"] > 0 for cell in graded)
    assert all(about(cell)["locked"] for cell in graded)
    ids = [about(cell)["grade_id"] for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    unlocked = [cell for cell in notebook.cells if not about(cell)["locked"]]
    assert unlocked == answers
    assert not any("outputs" in c and c.outputs for c in notebook.cells)
    nbformat.validate(notebook)


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
# ### Exercise 99.2 · Double

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
'''
CHECKS = """\
def check_99_1(answer):
    if answer != 2:
        raise AssertionError("Count again.")
    print("correct")


def check_99_2(answer):
    if answer(3) != 6:
        raise AssertionError("Not twice.")
    print("correct")
"""
RIGHT = {
    "answer-99-1": "answer_99_1 = 2.0",
    "answer-99-2": "def double(x):\n    return 2 * x",
}
REPLACED = "checks.check_99_1 = lambda answer: None\nanswer_99_1 = 3"
SUBMISSIONS = {  # student → what cells become, and the points expected
    "right": (RIGHT, 15),
    "untouched": ({}, 0),
    "one_wrong": ({**RIGHT, "answer-99-1": "answer_99_1 = 3"}, 10),
    "replaced_check": ({**RIGHT, "answer-99-1": REPLACED}, 10),
    "edited_check": (
        {"check-99-1": "pass", "answer-99-1": "answer_99_1 = 3"},
        0,
    ),
    "edited_set_up": (
        {
            **RIGHT,
            "answer-99-1": "answer_99_1 = 3",
            "text-0": "class checks:\n    check_99_1 = check_99_2 = print",
        },
        10,
    ),
    "endless": ({**RIGHT, "answer-99-1": "while True:\n    pass"}, 10),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Folder of a course, released; and nbgrader for it."""
    folder = tmp_path_factory.mktemp("course")
    package = folder / "installed" / "utils" / "checks"
    package.mkdir(parents=True)
    for name, text in (
        ("__init__", ""),
        ("_feedback", ""),
        ("chapter_99", CHECKS),
    ):
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (package.parent / "__init__.py").write_text("", encoding="utf-8")
    source = folder / "99_sums.py"
    source.write_text(SOURCE, encoding="utf-8")
    at = folder / "source" / "99_sums"
    at.mkdir(parents=True)
    nbformat.write(tool.assignment(source), at / "99_sums.ipynb")
    settings = tool.CONFIG.read_text("utf-8").replace("180", "5")
    (folder / tool.CONFIG.name).write_text(settings, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "installed"))
        assert tool.release(["99_sums"], folder) == []
        yield folder, tool.grader(folder)


def released(folder):
    return nbformat.read(folder / "release" / "99_sums" / "99_sums.ipynb", 4)


# nbgrader's own; what an answer warns of is tested with the checks
pytestmark = pytest.mark.filterwarnings("ignore")


def test_nothing_of_an_answer_is_handed_out(course):
    text = nbformat.writes(released(course[0]))
    for secret in ("1 + 1", "twice = half", "Told afterwards", "reload"):
        assert secret not in text
    assert text.count("raise NotImplementedError") == 2
    assert "# your answer here" in text


@pytest.mark.parametrize("student", SUBMISSIONS)
def test_points_are_what_the_answers_earn(course, student):
    folder, api = course
    changes, expected = SUBMISSIONS[student]
    notebook = released(folder)
    for cell in notebook.cells:
        cell.source = changes.get(about(cell)["grade_id"], cell.source)
    at = folder / "submitted" / student / "99_sums"
    at.mkdir(parents=True)
    nbformat.write(notebook, at / "99_sums.ipynb")
    graded = api.autograde("99_sums", student, create=True)
    assert graded["success"], graded["log"]
    (found,) = [
        s for s in api.get_submissions("99_sums") if s["student"] == student
    ]
    assert found["score"] == expected
    assert found["max_score"] == 15


def test_feedback_shows_the_check_s_sentence(course):
    folder, api = course
    if not (folder / "autograded" / "one_wrong").exists():
        test_points_are_what_the_answers_earn(course, "one_wrong")
    made = api.generate_feedback("99_sums", "one_wrong", force=True)
    assert made["success"], made["log"]
    path = folder / "feedback" / "one_wrong" / "99_sums" / "99_sums.html"
    assert "Count again." in pathlib.Path(path).read_text("utf-8")
