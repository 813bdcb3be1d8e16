"""Wrong answers to exercises, and what a check says of them."""

import functools
import inspect

import pytest


def rejects(check, *answer, match):
    """The check refuses the answer, with feedback that matches."""
    with pytest.raises(AssertionError, match=match):
        check(*answer)


def stub(*arguments):
    """An exercise nobody has answered yet."""
    raise NotImplementedError


class Watched:
    """A module of checks that remembers what its checks said.

    ``only`` names those that a file of tests is about, ``without`` those that
    it leaves to another file; all of the module, if neither is given.
    """

    def __init__(self, module, *, only=None, without=()):
        self._module = module
        self._refusals = {
            name: set()
            for name, value in vars(module).items()
            if inspect.isfunction(value)
            and value.__module__ == module.__name__
            and not name.startswith("_")
            and (only is None or name in only)
            and name not in without
        }
        self._accepted = dict.fromkeys(self._refusals, 0)

    def __getattr__(self, name):
        value = getattr(self._module, name)
        if name not in self._refusals:
            return value

        @functools.wraps(value)
        def check(*arguments, **options):
            try:
                value(*arguments, **options)
            except AssertionError as refusal:
                self._refusals[name].add(str(refusal))
                raise
            self._accepted[name] += 1

        return check


def tells_wrong_from_right(checks, refusals=4):
    """The tests of a file gave each check enough answers of both kinds.

    For the last test of a file: at least ``refusals`` wrong answers, each
    with feedback of its own, and a right one beside that of the solutions.
    """
    for name, said in checks._refusals.items():
        assert len(said) >= refusals, f"{name}: {len(said)} kinds of feedback"
        assert checks._accepted[name] >= 1, f"{name}: no right answer tried"
