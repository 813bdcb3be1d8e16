"""Numbers that a chapter cites from another stand in that one's results."""

import re

import pytest
from results_page import read_parts
from sittings import ROOT

CITED = {  # the source, what it writes, the row of 4b, which number of the row
    "binary": ("07a", r"VAE, bound .*quick=([\d.]+), full=([\d.]+)\)\]\]", 0),
    "levels": (
        "07a",
        r"VAE, bound .*\[profile.*quick=([\d.]+), full=([\d.]+)",
        1,
    ),
    "bits": ("07b", r'of_vae = .*quick="([\d.]+)", full="([\d.]+)"', 1),
}
ROWS = (r"binarised \| VAE.* (\d+\.\d)", r"all levels \| VAE.*, (\d\.\d+) bits")


@pytest.mark.parametrize("name", CITED)
def test_bound_of_chapter_4b_is_cited_as_recorded(name):
    stem, pattern, row = CITED[name]
    (source,) = ROOT.glob(f"source/{stem}*.py")
    cited = re.search(pattern, source.read_text("utf-8")).groups()
    parts = read_parts()
    for profile, number in zip(("quick", "full"), cited, strict=True):
        text = parts["04b_what_it_is_good_for", profile]
        (line,) = [
            line for line in text.splitlines() if re.search(ROWS[row], line)
        ]
        # the last number of the row, without its spread
        recorded = re.sub(r" ± [\d.]+", "", line)
        recorded = re.findall(ROWS[row], recorded)[-1]
        assert round(float(number), len(recorded.split(".")[1])) == float(
            recorded
        )


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("forest of chapter 7a, exact", "one forest for all pixels"),
        ("PixelCNN, exact", "PixelCNN, ordinal"),
    ],
)
def test_exact_model_of_chapter_7a_is_cited_as_recorded(name, row):
    (source,) = ROOT.glob("source/07b*.py")
    cited = re.search(rf'"{name}": "([\d.]+)"', source.read_text("utf-8"))[1]
    table = read_parts()["07a_autoregressive_models", "quick"]
    recorded = re.search(rf"\| {row} \| ([\d.]+)", table)[1]
    assert cited == f"{float(recorded):.2f}"
