"""docs/upstream.md: each program still prints what the page says."""

import contextlib
import io
import pathlib
import re

import keras
import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "upstream.md"
FOUND = re.findall(
    r"## ([^\n]+)\n(?:(?!\n## ).)*?"
    r"```python backends=\"([^\"]+)\"\n(.*?)```\n\n"
    r"```text\n(.*?)```",
    PAGE.read_text("utf-8"),
    re.S,
)


def test_page_names_programs_for_all_backends():
    assert len(FOUND) >= 5
    for title, backends, _, printed in FOUND:
        named = [line.split()[0] for line in printed.splitlines()]
        assert named == backends.split(), title


@pytest.mark.parametrize(
    ("code", "printed"),
    [(code, printed) for _, _, code, printed in FOUND],
    ids=[title for title, *_ in FOUND],
)
def test_program_prints_what_the_page_says(code, printed):
    wanted = dict(line.split(" ", 1) for line in printed.splitlines())
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, PAGE.name, "exec"), {"__name__": "upstream"})
    assert out.getvalue().strip() == wanted[keras.backend.backend()]
