"""docs/applications.md: every application has its section and its numbers."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
ERRATA = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")

# what the articles name as uses, by article and section
NAMED = {
    "dimension reduction": ("000 §1", "001 §2", "003 §2"),
    "features, fewer labels": ("000 §1", "001 §2"),
    "clustering": ("001 §2", "003 §3"),
    "image compression": ("000 §5", "002 §5"),
    "image denoising": ("000 §5", "002 §5"),
    "image enhancement": ("002 §5",),
    "image generation": ("000 §5", "001 §6", "002 §5", "003 §5"),
    "audio generation": ("000 §5", "003 §5"),
    "text generation": ("000 §5", "001 §6", "002 §5", "003 §5"),
    "classification with a VAE": ("000 §5",),
    "image recognition": ("001 §2", "002 §5", "004 §5"),
    "image translation": ("001 §6",),
    "object detection": ("002 §5", "004 §5"),
    "image segmentation": ("003 §5", "004 §5"),
    "scene understanding": ("003 §5",),
    "video summaries": ("003 §5",),
    "anomaly detection": ("001 §2", "003 §5"),
    "fraud": ("003 §5",),
    "industrial faults": ("003 §5",),
    "content-based recommendation": ("003 §5",),
    "collaborative recommendation": ("003 §5", "004 §5"),
    "behaviour prediction": ("004 §5",),
    "word vectors": ("003 §5", "004 §5"),
    "meaning of texts": ("003 §5", "004 §5"),
    "text summaries": ("001 §6", "002 §5", "004 §5"),
    "machine translation": ("002 §5",),
    "gene compression": ("002 §5",),
    "gene classification": ("002 §5",),
    "gene prediction": ("002 §5",),
    "speech recognition": ("001 §6",),
    "speech synthesis": ("001 §6",),
}
COLUMNS = (
    "application",
    "named in",
    "sitting, section",
    "data",
    "model",
    "strongest simple opponent",
    "who wins",
    "errata",
)


def table():
    """Rows of the page's table as dicts."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [
        [c.strip() for c in line.strip("| ").split(" | ")] for line in lines
    ]
    assert tuple(rows[0]) == COLUMNS
    assert all(len(row) == len(COLUMNS) for row in rows), rows
    assert set(rows[1]) == {"---"}
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows[2:]]


ROWS = table()
each_row = pytest.mark.parametrize(
    "row", ROWS, ids=[row["application"] for row in ROWS]
)


def numbers(text):
    """Decimal numbers of a cell, as the results write them: .5 is 0.5."""
    found = re.findall(r"(?<![\w.])\d*\.\d+", text)
    return [value if value[0] != "." else "0" + value for value in found]


def test_every_application_of_the_articles_has_a_row():
    listed = {row["application"]: row["named in"] for row in ROWS}
    assert set(listed) == set(NAMED)
    for name, places in NAMED.items():
        for place in places:
            assert place in listed[name], (name, place)


@each_row
def test_its_section_exists(row):
    links = re.findall(
        r"\[([^\]]+)\]\(\.\./chapters/([\w]+)\.ipynb\)(?:, (.+))?$",
        row["sitting, section"],
    )
    assert links
    for _, stem, section in links:
        source = (ROOT / "source" / f"{stem}.py").read_text(encoding="utf-8")
        headings = re.findall(r"^# #{2,3} (.+)$", source, re.M)
        assert section.strip() in headings, (section, headings)


@each_row
def test_its_numbers_stand_in_the_results_of_its_sitting(row):
    stems = re.findall(r"chapters/(\w+)\.ipynb", row["sitting, section"])
    text = "".join(
        part
        for part in re.split(r"(?m)^(?=## )", RESULTS)
        if part.split("\n")[0][3:].strip() in stems
    )
    known = set(numbers(text))
    asked = numbers(row["model"]) + numbers(row["strongest simple opponent"])
    assert asked, "a row without a number"
    for value in asked:
        assert any(
            value == other or other.rstrip("0") == value.rstrip("0")
            for other in known
        ), f"{value} is not in docs/results.md under {stems}"


@each_row
def test_its_errata_exist(row):
    for number in re.findall(r"E\d+", row["errata"]):
        assert re.search(rf"\*\*E0*{number[1:].lstrip('0')}\*\*", ERRATA), (
            number
        )
