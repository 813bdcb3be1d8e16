"""Points for nbgrader: a right answer earns all, one partly right its share.

Only the graded cells of ``make assignments`` use this, when they are graded;
what learners see in a chapter does not change.
"""

import functools
import importlib

from utils.checks import _feedback


def graded(chapter, points):
    """The checks of a chapter, read anew, in the form that nbgrader takes.

    nbgrader gives a cell that ends in an error no points, one whose last
    value is a number so many, any other all. So a check of the returned
    module raises for an answer that has earned nothing; returns a float, the
    points rounded to tenths, after printing its sentence, for one that has
    reached a stage; and ``None`` for a right one.

    Args:
        chapter: Name of the module of checks, ``"chapter_02"``.
        points: Points of a right answer.

    Returns:
        The module, reloaded: what a notebook put in its place is gone.
    """
    importlib.reload(_feedback)
    module = importlib.import_module(f"utils.checks.{chapter}")
    checks = importlib.reload(module)
    for name in dir(checks):
        if name.startswith("check_"):
            setattr(checks, name, _scored(getattr(checks, name), points))
    return checks


def _scored(check, points):
    """A check that returns the points of an answer that is partly right."""

    @functools.wraps(check)
    def scored(*answers, **named):
        try:
            check(*answers, **named)
        except _feedback.CheckFailed as failed:
            if not failed.share:
                raise
            print(failed)
            return round(points * failed.share, 1)

    return scored
