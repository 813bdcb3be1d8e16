"""A printed number may differ by one unit of its last digit.

Chapters print rounded numbers that pass through matrix products. On another
processor the products differ in their last bits, and now and then a number
falls on the other side of a rounding: 30.6 in place of 30.7. nbval compares
text; this plugin, which ``conftest.py`` at the root loads, has it compare
such numbers as numbers. All else stays exact: words, integers and therefore
shapes and counts, how many numbers there are and with how many decimals.
"""

import re
from decimal import Decimal

from nbval.plugin import IPyNbCell

# With decimals, and no part of a word or of a version. "1e-4" has none:
# that is how settings are written, not results.
NUMBER = re.compile(
    r"(?<![\w.])-?\d*\.(?P<decimals>\d+)(?P<power>e[+-]?\d+)?(?!\w|\.\d)"
)


def same_number(one, other):
    """Whether two matches of ``NUMBER`` differ by at most one last digit."""
    if len(one["decimals"]) != len(other["decimals"]):
        return False
    if bool(one["power"]) != bool(other["power"]):
        return False
    values = [Decimal(match.group()) for match in (one, other)]
    # 9.99e-04 and 1.00e-03 are neighbours: the larger unit counts
    unit = max(value.as_tuple().exponent for value in values)
    return abs(values[0] - values[1]) <= Decimal(1).scaleb(unit)


def same_print(one, other):
    """Whether two printed texts agree.

    Args:
        one: Text.
        other: Text; the order of the two makes no difference.

    Returns:
        True if the texts are equal but for numbers with decimals, each of
        which differs by at most one unit of its last digit. Where such a
        number has become longer (9.9 and 10.0, 0.0 and -0.0), columns
        shift: runs of spaces then count as one.
    """
    numbers = [list(NUMBER.finditer(text)) for text in (one, other)]
    words = [NUMBER.sub("\0", text) for text in (one, other)]
    if any(
        len(a.group()) != len(b.group()) for a, b in zip(*numbers, strict=False)
    ):
        words = [re.sub(" +", " ", text) for text in words]
    return words[0] == words[1] and all(
        same_number(a, b) for a, b in zip(*numbers, strict=True)
    )


class Printed(str):
    """A text that equals another one if the two agree by ``same_print``."""

    __slots__ = ()
    __hash__ = None  # equality is not transitive

    def __eq__(self, other):
        return same_print(self, other)

    def __ne__(self, other):
        return not same_print(self, other)


def pytest_itemcollected(item):
    """Have nbval compare what a cell printed as ``Printed``."""
    if isinstance(item, IPyNbCell):
        sanitize = item.sanitize

        def printed(output):
            text = sanitize(output)
            return Printed(text) if isinstance(text, str) else text

        item.sanitize = printed
