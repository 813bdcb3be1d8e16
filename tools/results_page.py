"""docs/results.md: one section a chapter, a part for each profile.

A run rewrites the parts of the chapters that it executed and leaves the rest
of the page alone.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import shutil

from sittings import ROOT, sources

from utils.support.files import write_whole

PAGE = ROOT / "docs" / "results.md"
PROFILES = ("full", "quick")
OPENING = """\
# Results

Written by `make notebooks` and `make full`; do not edit. Each chapter's tables
in the full profile (MNIST and other larger data), then in the quick one (data
that come with the packages). Errors are on test rows, which nothing was fitted
to or chosen by;
± is the standard deviation over seeds, divided by n − 1 since 26 November 2026
(by n in earlier full profiles). Seconds are those of the whole chapter;
other processes may have run beside it."""


def environment_for(stem, profile):
    """Environment of a chapter that records its tables in its own folder."""
    folder = ROOT / "build" / "results" / stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return {"COURSE_PROFILE": profile, "COURSE_RESULTS": str(folder)}


def read_tables(environment):
    """Tables that a chapter recorded there, in order."""
    collected = os.path.join(environment["COURSE_RESULTS"], "results.jsonl")
    if not os.path.exists(collected):
        return []
    with open(collected, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def markdown_table(header, rows):
    """A Markdown table; a bar in a cell is no border."""
    lines = [header, ["---"] * len(header), *rows]
    lines = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance():
    """Date, machine and versions of this run, on one line."""
    keras_version = importlib.metadata.version("keras")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return (
        f"{datetime.date.today()} · {os.cpu_count()} CPU cores, "
        f"{platform.machine()} · Python {platform.python_version()} · "
        f"keras {keras_version} on {backend} "
        f"{importlib.metadata.version(backend)}"
    )


def part(profile, seconds, tables):
    """The text of one chapter's part for one profile."""
    lines = [f"### {profile.capitalize()} profile: {seconds:.0f} s"]
    lines.append(provenance())
    for table in tables:
        lines.append(f"**{table['title']}**")
        lines.append(markdown_table(table["header"], table["rows"]))
    return "\n\n".join(lines)


def read_parts():
    """The page as it stands: dict of (chapter, profile) to text."""
    if not PAGE.exists():
        return {}
    parts = {}
    _, *sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.M)
    for section in sections:
        heading, *found = re.split(r"^### ", section, flags=re.M)
        for text in found:
            profile = text.split()[0].lower()
            parts[heading.strip(), profile] = f"### {text.strip()}"
    return parts


def times(profile):
    """Seconds of each chapter on the page: dict by chapter."""
    found = {}
    for (stem, of), text in read_parts().items():
        if of == profile:
            found[stem] = float(re.search(r"profile: (\d+) s", text)[1])
    return found


def write(profile, stem, seconds, tables):
    """Rewrite one chapter's part of the page; all others stay.

    Args:
        profile: ``"quick"`` or ``"full"``.
        stem: The chapter, ``"02a_autoencoders"``.
        seconds: Time of the whole chapter.
        tables: What ``runtime.record`` collected, in order.
    """
    parts = read_parts()
    parts[stem, profile] = part(profile, seconds, tables)
    page = [OPENING]
    for stem in (path.stem for path in sources()):
        found = [parts[stem, p] for p in PROFILES if (stem, p) in parts]
        if found:
            page += [f"## {stem}", *found]
    write_whole(PAGE, "\n\n".join(page) + "\n")
