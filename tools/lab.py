"""Open JupyterLab on the course: ``make lab``.

    python tools/lab.py [any option of jupyter lab]

The course's root is the root of the file browser, so that the chapters'
links to docs/ and solutions/ open. Settings lie in tools/lab/: no buttons of
nbgrader, no question about news. Your own settings of JupyterLab hold too;
nothing is written into your home but what JupyterLab keeps there itself.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "tools" / "lab"


def command(*options):
    """The words that start JupyterLab, with more options behind."""
    words = [
        *(sys.executable, "-m", "jupyter", "lab"),
        f"--ServerApp.root_dir={ROOT}",
        "--LabApp.default_url=/lab/tree/chapters",
    ]
    if is_root():
        words.append("--allow-root")
    return [*words, *options]


def environment():
    """The environment in which JupyterLab finds the course's settings.

    Notebooks find the course's ``utils`` before a file of that name that
    lies beside them.
    """
    changed = {}
    for name, first in (
        ("JUPYTER_CONFIG_PATH", SETTINGS),
        ("PYTHONPATH", ROOT),
    ):
        own = os.environ.get(name)
        changed[name] = f"{first}{os.pathsep}{own}" if own else str(first)
    return {**os.environ, **changed}


def is_root():
    """Whether this is the superuser, as in most containers."""
    return hasattr(os, "geteuid") and os.geteuid() == 0  # not on Windows


def main():
    """Run JupyterLab until it is closed; return its exit status."""
    if is_root():
        print(
            "You are root, as in most containers: JupyterLab runs with "
            "--allow-root. To reach it from outside the container: "
            'make lab LAB="--ip=0.0.0.0 --no-browser"'
        )
    try:
        return subprocess.run(
            command(*sys.argv[1:]), env=environment()
        ).returncode
    except KeyboardInterrupt:  # Ctrl-C ends JupyterLab, and that is all
        return 0


if __name__ == "__main__":
    sys.exit(main())
