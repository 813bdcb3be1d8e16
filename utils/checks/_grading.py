"""Points for nbgrader: a right answer earns all, one partly right its share.

Only the graded cells of ``make assignments`` use this, when they are graded;
what learners see in a chapter does not change.
"""

import contextlib
import functools
import importlib
import inspect
import io
import sys
import types
from unittest import mock

import numpy as np

from utils.checks import _feedback


def graded(chapter, points, seed=1):
    """The checks of a chapter, read anew, in the form that nbgrader takes.

    nbgrader gives a cell that ends in an error no points, one whose last
    value is a number so many, any other all. So a check of the returned
    module raises for an answer that has earned nothing; returns a float, the
    points rounded to tenths, after printing its sentence, for one that has
    reached a stage; and ``None`` for a right one. A function that passes is
    asked once more on other numbers: it may know those of the check by heart.

    Args:
        chapter: Name of the module of checks, ``"chapter_02"``.
        points: Points of a right answer.
        seed: Of the other numbers.

    Returns:
        The module, reloaded: what a notebook put in its place is gone.
    """
    importlib.reload(_feedback)
    module = importlib.import_module(f"utils.checks.{chapter}")
    checks = importlib.reload(module)
    for name in dir(checks):
        if name.startswith("check_"):
            setattr(checks, name, _scored(getattr(checks, name), points, seed))
    return checks


class _Reseeded:
    """NumPy, but for the numbers that ``default_rng`` draws."""

    def __init__(self, seed):
        def draw(old=0):
            return np.random.default_rng([*np.atleast_1d(old), seed])

        self.random = types.SimpleNamespace(**vars(np.random))
        self.random.default_rng = draw

    def __getattr__(self, name):
        return getattr(np, name)


def _scored(check, points, seed):
    """A check that returns the points of an answer that is partly right."""

    @functools.wraps(check)
    def scored(*answers, **named):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                check(*answers, **named)
            if any(map(inspect.isfunction, answers)):
                _ask_again(check, seed, answers, named)
        except _feedback.CheckFailed as failed:
            if not failed.share:
                raise
            print(failed)
            return round(points * failed.share, 1)
        print(said.getvalue(), end="")

    return scored


def _ask_again(check, seed, answers, named):
    """Call a check on other numbers, in silence; say so if it refuses."""
    with contextlib.ExitStack() as others:
        for name, module in list(sys.modules.items()):
            if name.startswith("utils.checks.chapter") and hasattr(
                module, "np"
            ):
                others.enter_context(
                    mock.patch.object(module, "np", _Reseeded(seed))
                )
        others.enter_context(contextlib.redirect_stdout(io.StringIO()))
        try:
            check(*answers, **named)
        except _feedback.CheckFailed as failed:
            told = f"Right on the numbers of the check; on others: {failed}"
            failed.args = (told,)
            raise
