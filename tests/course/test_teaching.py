"""What docs/teaching.md says of the sittings holds for the sources."""

import re

import build_assignments
import nbformat
import pytest
from build_notebooks import EXERCISE
from sittings import ROOT, sources
from test_notebooks import length

PAGE = (ROOT / "docs" / "teaching.md").read_text("utf-8")
SITTINGS = {path.stem.split("_")[0]: path for path in sources()}


def rows(heading):
    """Rows of the table below a heading, by their first cell."""
    part = PAGE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("| ")
    ]
    return {first: rest for first, *rest in cells if first in SITTINGS}


def exercises(path):
    text = re.sub(r"^# ?", "", path.read_text("utf-8"), flags=re.M)
    return [found[1] for found in EXERCISE.finditer(text)]


@pytest.mark.parametrize("name", SITTINGS)
def test_each_exercise_tests_a_goal_of_its_sitting(name):
    (goals,) = rows("What they learn")[name]
    groups = re.findall(r"\((\d[^)]*)\)", goals)
    named = [number for group in groups for number in group.split(", ")]
    assert sorted(named) == sorted(exercises(SITTINGS[name]))


@pytest.mark.parametrize("name", SITTINGS)
def test_instructor_notes_of_each_sitting(name):
    wrong, ask, board, skip = rows("Notes for the instructor")[name]
    assert wrong and board
    assert ask.startswith('"') and ask.endswith('"')
    numbers = re.findall(r"^# ## (\d+)\.", SITTINGS[name].read_text(), re.M)
    named = re.findall(r"\d+", skip)
    assert named or skip
    assert set(named) <= set(numbers)


def test_plans_name_exercises_that_exist():
    known = {n for path in SITTINGS.values() for n in exercises(path)}
    plans = PAGE.split("## Plans", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"\b(\d+[a-k]?\.\d+)\b", plans)
    assert len(named) > 20
    assert set(named) <= known


@pytest.mark.parametrize("name", SITTINGS)
def test_times_and_points_of_each_sitting(name):
    read, count, points, _ = rows("Times and points")[name]
    chapter = ROOT / "chapters" / f"{SITTINGS[name].stem}.ipynb"
    words, _, lines = length(chapter)
    figures = sum(
        "image/png" in output.get("data", {})
        for cell in nbformat.read(chapter, 4).cells
        for output in cell.get("outputs", ())
    )
    assert abs(int(read) - (words / 130 + lines / 20 + figures)) <= 4
    earned = {"check": 0, "words": 0}
    for cell in build_assignments.assignment(SITTINGS[name]).cells:
        about = cell.metadata.get("nbgrader", {})
        if "points" in about:
            earned[about["grade_id"].split("-")[0]] += about["points"]
    found = [*map(int, points.split(" + ")), 0][:2]
    assert found == [*earned.values()]
    assert int(count) == len(exercises(SITTINGS[name]))
