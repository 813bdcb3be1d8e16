"""What a partly right answer earns, and that learners see nothing of it."""

import importlib

import numpy as np
import pytest

from utils.checks import _grading, chapter_06e


def one_hot(text):
    return np.array([[letter == base for base in "ACGT"] for letter in text])


def no_matter(text):
    """Right values, and letters that are no base get a row of zeros."""
    return one_hot(text).astype(float)


def refusing(text):
    if set(text) - set("ACGT"):
        raise ValueError("no base")
    return no_matter(text)


@pytest.mark.parametrize(
    ("answer", "points", "words"),
    [
        (lambda text: one_hot(text).T, "raises", "(n, 4)"),
        (lambda text: np.zeros((len(text), 4)), 2.0, "exactly one 1"),
        (no_matter, 6.0, "GATN"),
        (refusing, None, "6e.2: correct"),
    ],
    ids=["wrong shape", "shape alone", "values alone", "right"],
)
def test_stages_of_a_function(answer, points, words, capsys):
    module = _grading.graded("chapter_06e", 10)
    if points == "raises":
        with pytest.raises(AssertionError) as refused:
            module.check_6e_2(answer)
        assert words in str(refused.value)
        return
    assert module.check_6e_2(answer) == points
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "points"),
    [([1.1, 0.2, 19, 4], 6.0), ([3, 0.2, 1, 1], 2.0)],
)
def test_numbers_on_paper_earn_each_its_part(answer, points, capsys):
    module = _grading.graded("chapter_07d", 8)
    assert module.check_7d_1(answer) == points
    assert module.check_7d_1([1.1, 0.2, 38, 4]) is None
    with pytest.raises(AssertionError):
        module.check_7d_1([9.0] * 4)


def test_learners_meet_an_error_whatever_stage_they_reached(capsys):
    chapter = importlib.reload(chapter_06e)
    with pytest.raises(AssertionError, match="GATN"):
        chapter.check_6e_2(no_matter)
    assert capsys.readouterr().out == ""


def test_an_earlier_answer_earns_nothing_for_a_later_one():
    module = _grading.graded("chapter_06e", 10)
    assert module.check_6e_2(no_matter) == 6.0
    with pytest.raises(AssertionError, match="waits for your answer"):
        module.check_6e_2(None)


def test_a_check_that_was_replaced_is_read_anew():
    chapter_06e.check_6e_2 = lambda answer: None
    module = _grading.graded("chapter_06e", 10)
    with pytest.raises(AssertionError):
        module.check_6e_2(lambda text: one_hot(text).T)


def mask(size, own):
    order = np.arange(size * size).reshape(size, size)
    return order < order[size // 2, size // 2] + own


def glue(pieces, pair):
    glued = []
    for piece in pieces:
        if glued and (glued[-1], piece) == tuple(pair):
            glued[-1] += piece
        else:
            glued.append(piece)
    return glued


def squared(x, x_hat):
    if x.shape != x_hat.shape:
        raise ValueError("shapes")
    return ((x - x_hat) ** 2).sum() / len(x)


@pytest.mark.parametrize(
    ("chapter", "check", "right"),
    [
        ("chapter_02", "check_2_3", squared),
        ("chapter_06e", "check_6e_2", refusing),
        ("chapter_06i", "check_6i_2", glue),
        ("chapter_07a", "check_7a_3", mask),
    ],
)
def test_a_check_known_by_heart_is_not_passed(chapter, check, right, capsys):
    """Every answer that the visible check asks for, and no other."""
    known = {}

    def shown(*given):
        known[repr(given)] = answer = right(*given)
        return answer

    def by_heart(*given):
        if repr(given) not in known:
            raise ValueError("never seen")
        return known[repr(given)]

    visible = importlib.import_module(f"utils.checks.{chapter}")
    importlib.reload(visible)
    getattr(visible, check)(shown)
    getattr(visible, check)(by_heart)
    for seed in (1, 2):
        graded = getattr(_grading.graded(chapter, 10, seed), check)
        assert graded(right) is None
        capsys.readouterr()
        try:
            assert graded(by_heart) < 10
            said = capsys.readouterr().out
        except AssertionError as refused:
            said = str(refused)
        assert said.startswith("Right on the numbers of the check; on others:")
