"""Install the locked packages on each supported Python and test there.

    python tools/check_pythons.py                      those found on the PATH
    python tools/check_pythons.py python3.12 PATH ...  only these interpreters
    python tools/check_pythons.py --keep ...           leave environments

Used by ``make pythons``. Each interpreter gets an environment of its own
below ``build/pythons/`` (some 2 GB, removed afterwards), the packages of
``requirements.lock``, the tests that train nothing for long, and chapter 01a.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
TESTS = (
    "validation",
    "architecture",
    "environment",
    "runtime",
    "sets",
    "corpora",
    "interactions",
    "tokens",
    "ngrams",
    "losses",
    "layers",
    "metrics",
    "networks",
    "callbacks",
    "plotting",
    "tools",
    "notebooks",
    "faults",
)
CHAPTER = "01a"
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def installed(names):
    """Path of each interpreter by its version; names that do not start."""
    found, missing = {}, []
    for name in names:
        path = shutil.which(name)
        done = path and subprocess.run(
            [path, "-c", VERSION], capture_output=True, text=True
        )
        if not done or done.returncode:
            missing.append(name)
        else:
            found[done.stdout.strip()] = path
    return found, missing


def set_up(interpreter, folder):
    """Make the environment as ``make`` does; return its own interpreter."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ["make", "setup", f"PYTHON={interpreter}", f"VENV={folder}"]
    subprocess.run(command, cwd=ROOT, check=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    return str(folder / scripts / "python")


def test_files():
    """Paths of the tests to run, one a name, wherever it stands."""
    found = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
    return [found[f"test_{name}"] for name in TESTS]


def check(interpreter, folder):
    """Set up, test, run a chapter: name of the step that failed, if any."""
    try:
        python = set_up(interpreter, folder)
    except subprocess.CalledProcessError:
        return "set-up"
    files = [str(path) for path in test_files()]
    steps = {
        "pip check": ["-m", "pip", "check"],
        "set-up report": ["-m", "utils.runtime"],
        "unit tests": ["-m", "pytest", "-q", *files],
        f"chapter {CHAPTER}": ["tools/run_course.py", CHAPTER],
    }
    for name, arguments in steps.items():
        print(f"--- {name}", flush=True)
        if subprocess.run([python, *arguments], cwd=ROOT).returncode:
            return name
    return None


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("interpreters", nargs="*")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    names = options.interpreters or [f"python{v}" for v in VERSIONS]
    found, missing = installed(names)
    lines, failed = [], bool(options.interpreters and missing)
    for version, interpreter in found.items():
        print(f"=== Python {version}", flush=True)
        if version not in VERSIONS:
            lines.append(f"{version:<8} not supported: {', '.join(VERSIONS)}")
            failed = True
            continue
        folder = ROOT / "build" / "pythons" / version
        start = time.perf_counter()
        step = check(interpreter, folder)
        seconds = time.perf_counter() - start
        verdict = f"FAILED: {step}" if step else "ok"
        lines.append(f"{version:<8} {verdict} ({seconds:.0f} s)")
        failed |= step is not None
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    lines += [f"{name}: not installed, not checked" for name in missing]
    print("\n".join(["", *lines]))
    return int(failed or not found)


if __name__ == "__main__":
    sys.exit(main())
