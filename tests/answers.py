"""Wrong answers to exercises, and what a check says of them."""

import pytest


def rejects(check, *answer, match):
    """The check refuses the answer, with feedback that matches."""
    with pytest.raises(AssertionError, match=match):
        check(*answer)


def stub(*arguments):
    """An exercise nobody has answered yet."""
    raise NotImplementedError
