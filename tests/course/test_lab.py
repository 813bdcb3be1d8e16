"""What ``make lab`` starts, and that its links lead somewhere.

A real browser: tools/check_lab.py.
"""

import json
import pathlib
import re
import subprocess
import sys
import urllib.parse

import lab
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(
    path
    for folder in ("chapters", "solutions")
    for path in (ROOT / folder).glob("*.ipynb")
)
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|(?:href|src)=[\"']([^\"']+)")


def relative_links(path):
    """Targets of a notebook's links that have no scheme."""
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            for groups in LINK.findall(cell.source):
                target = urllib.parse.urlsplit(groups[0] or groups[1])
                if not target.scheme and not target.netloc and target.path:
                    yield urllib.parse.unquote(target.path)


@pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=[f"{p.parent.name}/{p.stem}" for p in NOTEBOOKS]
)
def test_links_open_in_the_lab(path):
    links = list(relative_links(path))
    assert links
    for link in links:
        target = (path.parent / link).resolve()
        assert target.exists(), link
        assert target.is_relative_to(lab.ROOT), link
        assert not any(  # the lab shows no hidden files
            part.startswith(".") for part in target.relative_to(lab.ROOT).parts
        ), link


def test_command_starts_at_the_root_of_the_course_and_shows_the_chapters():
    words = lab.command("--port=9")
    assert words[0] == sys.executable
    assert f"--ServerApp.root_dir={ROOT}" in words
    assert "--LabApp.default_url=/lab/tree/chapters" in words
    assert words[-1] == "--port=9"


@pytest.mark.parametrize("uid", [0, 1000])
def test_command_of_root_alone_allows_root(monkeypatch, capsys, uid):
    started = []

    def run(words, env):
        started.append(words)
        return subprocess.CompletedProcess(words, 3)

    monkeypatch.setattr(lab.os, "geteuid", lambda: uid, raising=False)
    monkeypatch.setattr(lab.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["lab.py", "--no-browser"])
    assert lab.main() == 3
    assert ("--allow-root" in started[0]) == (uid == 0)
    assert started[0][-1] == "--no-browser"
    assert ("You are root" in capsys.readouterr().out) == (uid == 0)


def test_settings_are_found_before_ones_own(monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/own")
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "--paths", "--json"],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)["config"]
    assert found[0] == str(lab.SETTINGS)
    assert "/own" in found


def test_settings_are_valid_and_switch_off_nbgrader_and_the_news():
    files = {
        p.name: json.loads(p.read_text()) for p in lab.SETTINGS.rglob("*.json")
    }
    disabled = files["page_config.json"]["disabledExtensions"]
    assert disabled["@jupyter/nbgrader"]
    extensions = files["jupyter_server_config.json"]["ServerApp"]
    assert not any(extensions["jpserver_extensions"].values())
    overrides = files["default_setting_overrides.json"]
    (news,) = overrides.values()
    assert news == {"checkForUpdates": False, "fetchNews": "false"}


def test_ones_own_utils_beside_a_notebook_does_not_hide_the_course(tmp_path):
    (tmp_path / "utils.py").write_text("raise RuntimeError('the wrong one')")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "IPython",
            "-c",
            "import utils.runtime as r; print(r.__file__)",
        ],
        env={**lab.environment(), "IPYTHONDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(ROOT / "utils" / "runtime.py"), (
        done.stderr
    )
