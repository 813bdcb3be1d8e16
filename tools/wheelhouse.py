"""The course and all its packages on a stick, and set-up from it offline.

    python tools/wheelhouse.py                      fill build/stick
    python STICK/course/tools/wheelhouse.py --set-up FOLDER
                                                    in a room without internet

Wheels belong to one system and one version of Python: fill a stick on a
machine like those of the room, one for each kind. Set-up copies the course to
FOLDER and makes FOLDER/.venv of the wheels alone; it needs that Python and
nothing else.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
STICK = ROOT / "build" / "stick"
LEFT_OUT = (".venv*", "build", ".git", "__pycache__", "*.egg-info", ".*_cache")
KIND = "made-for.json"  # beside the wheels: the machine they are for


def machine():
    """What wheels depend on: Python's version, the system, the processor."""
    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "system": platform.system(),
        "processor": platform.machine(),
    }


def size(folder):
    """Megabytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*")) / 1e6


def pip(python, *arguments):
    """Run pip; returns its exit status."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(list(map(str, command))).returncode


def fill(stick=STICK):
    """Put course and wheels on a stick; returns the exit status."""
    shutil.rmtree(stick / "course", ignore_errors=True)
    shutil.copytree(
        ROOT, stick / "course", ignore=shutil.ignore_patterns(*LEFT_OUT)
    )
    wheels = stick / "wheels"
    wheels.mkdir(exist_ok=True)
    # pip builds a wheel where there is only a source; setuptools is what the
    # course itself is installed with
    failed = pip(
        sys.executable,
        "wheel",
        "--quiet",
        "--wheel-dir",
        wheels,
        "-r",
        ROOT / "requirements.lock",
    )
    (wheels / KIND).write_text(json.dumps(machine()), encoding="utf-8")
    count = len(list(wheels.glob("*.whl")))
    print(f"{count} wheels, {size(wheels):.0f} MB, in {stick}")
    return failed


def unfit(wheels):
    """A sentence if the wheels are for another machine, or ``None``."""
    try:
        made = json.loads((wheels / KIND).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return (
            f"There are no wheels in {wheels}: copy the whole stick, with "
            "`course` and `wheels` side by side."
        )
    here = machine()
    if made == here:
        return None
    told = [" ".join(m[k] for k in sorted(m)) for m in (made, here)]
    return (
        f"These wheels are for {told[0]} and this is {told[1]}: call this "
        f"program by Python {made['python']}, or take the stick made for "
        "machines like yours."
    )


def set_up(folder, wheels=ROOT.parent / "wheels"):
    """Copy the course to a folder and install from the wheels alone."""
    problem = unfit(wheels)
    if problem:
        print(problem)
        return 1
    start = time.perf_counter()
    folder = folder.resolve()
    free = shutil.disk_usage(folder.parent).free / 1e9
    if free < 4:
        print(f"{folder} needs 3 GB and {free:.1f} are free: choose another.")
        return 1
    if folder != ROOT:
        shutil.copytree(ROOT, folder, dirs_exist_ok=True)
    venv.create(folder / ".venv", with_pip=True)
    bin_ = "Scripts" if os.name == "nt" else "bin"
    python = folder / ".venv" / bin_ / "python"
    offline = ("install", "--quiet", "--no-index", "--find-links", wheels)
    failed = pip(python, *offline, "-r", folder / "requirements.lock")
    # without isolation: pip would look for setuptools on the network
    failed = failed or pip(
        python,
        *offline,
        "--no-deps",
        "--no-build-isolation",
        "--editable",
        folder,
    )
    if failed:
        return failed
    (folder / ".venv" / ".installed").touch()  # `make` installs no more
    print(f"Set up in {time.perf_counter() - start:.0f} s. Next:")
    print(f"  cd {folder}")
    print(f"  {python} -m utils.runtime")
    print(f"  {python} tools/lab.py")
    return 0


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set-up", metavar="FOLDER", type=pathlib.Path)
    options = parser.parse_args()
    if options.set_up:
        return set_up(options.set_up)
    return fill()


if __name__ == "__main__":
    sys.exit(main())
