"""Start a chapter, read the run profile, check the set-up.

``python -m utils.runtime`` prints versions, backend, device and the data
sets found, and says in plain words what is wrong if something is.
"""

import atexit
import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import json
import logging
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import warnings

MISSING = (  # {} is what
    "Not installed: {}. Run `make run`, which sets up .venv, or `pip install "
    "-r requirements.txt` in your own environment."
)
try:
    from utils.support import validation as check
    from utils.support.files import write_whole
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    sys.exit(MISSING.format(missing.name))

__all__ = ["Profile", "record", "start"]

PROFILES = ("quick", "full")
PYTHONS = ((3, 11), (3, 13))
PACKAGES = (
    "keras",
    "tensorflow",
    "numpy",
    "scikit-learn",
    "matplotlib",
    "jupyter",
    "nbval",
    "pytest",
)
COMPILED = "deep-unsupervised-course-compiled-"  # folders of JAX programs
BACKEND_PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
FORMATS = {  # what a keras.json may change, and the course's own values
    "floatx": "float32",
    "image_data_format": "channels_last",
    "epsilon": 1e-7,
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
ROOT = pathlib.Path(__file__).resolve().parent.parent
GB = 1024**3
KERNEL = 1.2  # GB of memory that a chapter takes, at most
SCARCE = 0.3  # GB of memory with which Keras hardly starts
DISK = 0.5  # GB for compiled programs, results and the data sets


@dataclasses.dataclass(frozen=True)
class Profile:
    """The run profile: ``quick`` (default) or ``full``.

    Args:
        name: ``"quick"`` uses bundled data and takes at most a minute a
            chapter; ``"full"`` uses MNIST or CIFAR-10 and takes minutes.
    """

    name: str

    @property
    def full(self):
        """Whether this is the full profile."""
        return self.name == "full"

    def pick(self, *, quick, full):
        """Return the value that belongs to this profile."""
        return full if self.full else quick


def _read_profile():
    name = os.environ.get("COURSE_PROFILE", "quick")
    return Profile(check.check_choice(name, "COURSE_PROFILE", PROFILES))


@contextlib.contextmanager
def _quiet_stderr():
    """Hold back what C++ libraries write to file descriptor 2.

    Jupyter would store it in the notebook. If the block raises, everything
    held back is written out, so that no error loses its explanation.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _print_any_letter():
    """Let a terminal without UTF-8 show "?" for a letter that it lacks.

    Else the first ≥ or Greek letter would end the program.
    """
    if hasattr(sys.stdout, "reconfigure"):  # Jupyter's stream is UTF-8
        sys.stdout.reconfigure(errors="replace")


def _compile_once():
    """Have JAX compile each program once a process, not once a model.

    Models that differ in their seed alone are the same program; JAX finds
    it in a folder, which is removed when the process ends. A process that
    was killed leaves its folder: a later one removes it after a day.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return  # the user, or the tests, keep one of their own
    yesterday = time.time() - 24 * 3600
    for left in pathlib.Path(tempfile.gettempdir()).glob(f"{COMPILED}*"):
        with contextlib.suppress(OSError):  # another's, or gone just now
            if left.stat().st_mtime < yesterday:
                shutil.rmtree(left)
    folder = tempfile.mkdtemp(prefix=COMPILED)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def _keras_file():
    """Where Keras looks for its settings."""
    home = pathlib.Path("~").expanduser()
    home = home if os.access(home, os.W_OK) else pathlib.Path("/tmp")
    folder = os.environ.get("KERAS_HOME", home / ".keras")
    return pathlib.Path(folder).expanduser() / "keras.json"


def _asked_backend():
    """The backend that Keras will take, and who asks for it."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    path = _keras_file()
    with contextlib.suppress(OSError, ValueError):  # Keras skips it as well
        settings = json.loads(path.read_text(encoding="utf-8"))
        if "backend" in settings:
            return settings["backend"], f'"backend" in {path}'
    return "tensorflow", "Keras's default"


def _backend_problem():
    """What is wrong with the backend asked for, in words, or ``None``."""
    name, where = _asked_backend()
    if name not in BACKEND_PACKAGES:
        return (
            f"{where} is {name!r}: set it to tensorflow, jax or torch, or "
            "remove it."
        )
    if importlib.util.find_spec(BACKEND_PACKAGES[name]) is None:
        return (
            f"{where} asks for {name}, which is not installed. Set it to "
            f"tensorflow, or `pip install {BACKEND_PACKAGES[name]}`."
        )
    return None


def _import_keras():
    """Import Keras and run one operation, without the backend's log lines."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # With oneDNN long trainings of convolutions are faster, but chapters,
    # which start many small models, are slower (README has the numbers).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if _asked_backend()[0] == "jax":
        _compile_once()
    # Python-side hints about retracing, which each further model triggers
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Keras 3.13 looks for an old name of NumPy's while it is imported
    warnings.filterwarnings("ignore", "In the future `np.object`")
    with _quiet_stderr():
        import keras

        keras.ops.convert_to_numpy(keras.ops.ones((1,)) + 1.0)
        # `fit` imports TensorFlow on every backend, to recognise tf.data
        if importlib.util.find_spec("tensorflow") is not None:
            importlib.import_module("tensorflow")
    # once more: in a notebook TensorFlow sets its own level while it loads
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


def _set_formats(keras):
    """Undo what a keras.json or variables of other work ask for, and say so."""
    for name, wanted in FORMATS.items():
        if not hasattr(keras.config, name):  # an older Keras
            continue
        found = getattr(keras.config, name)()
        if found == wanted:
            continue
        getattr(keras.config, f"set_{name}")(wanted)
        if wanted is None:  # no limit, and only a variable can set one
            by, way = "a variable", f"unset KERAS_{name.upper()}"
        else:
            by, way = "a keras.json", f'take "{name}" out of {_keras_file()}'
        print(
            f"Keras is set to {name} {found}, by {by} perhaps: the course "
            f"takes {wanted} for this session. To be rid of this line, {way}."
        )


def _free_memory():
    """Bytes that programs may still take here, or ``None`` if unknown."""
    free = []
    with contextlib.suppress(ImportError):
        import psutil

        free.append(psutil.virtual_memory().available)
    group = pathlib.Path("/sys/fs/cgroup")  # of a container
    with contextlib.suppress(OSError, ValueError):
        most = int((group / "memory.max").read_text("utf-8"))
        taken = (group / "memory.current").read_text("utf-8")
        cache = re.search(
            r"^inactive_file (\d+)",
            (group / "memory.stat").read_text("utf-8"),
            re.M,
        )
        free.append(most - int(taken) + int(cache[1] if cache else 0))
    return min(free, default=None)


def _memory_problem(least):
    """A sentence if less than so many GB of memory are free, or ``None``."""
    free = _free_memory()
    if free is None or free >= least * GB:
        return None
    return (
        f"Only {max(free, 0) / GB:.1f} GB of memory are free, and a chapter "
        f"takes up to {KERNEL} GB: close other programs, or in JupyterLab "
        "Kernel → Shut Down All Kernels."
    )


def _disk_problem(least):
    """A sentence if less than so many GB of disk are free, or ``None``."""
    places = pathlib.Path(tempfile.gettempdir()), pathlib.Path.cwd()
    for place in places:
        free = shutil.disk_usage(place).free
        if free < least * GB:
            return (
                f"Only {free / GB:.2f} GB are free on the disk of {place}: "
                "delete what you no longer need, for example build/ of the "
                "course."
            )
    return None


def _place_problem():
    """A sentence if the notebook lies in another copy of the course."""
    here = pathlib.Path.cwd()
    for folder in (here, here.parent):
        own = folder / "utils" / "runtime.py"
        if own.is_file() and own.resolve() != pathlib.Path(__file__).resolve():
            return (
                f"You work in {folder}, and `utils` comes from another copy "
                f"of the course, {ROOT}: start with `make lab` in "
                f"{folder}, or run `pip install -e .` there."
            )
    return None


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def start(seed=0):
    """Begin a chapter: quiet logs, fixed seed, versions and profile printed.

    Call it before anything else imports Keras. The backend is the one that
    ``KERAS_BACKEND`` names (default: tensorflow).

    Args:
        seed: Integer ≥ 0 for Python's, NumPy's and the backend's generators.

    Returns:
        The :class:`Profile` named by ``COURSE_PROFILE`` (default: quick).

    Raises:
        ValueError: unknown profile, a seed that is not an integer ≥ 0, or a
            backend (of ``KERAS_BACKEND`` or of your ``keras.json``) that is
            unknown or not installed.
    """
    seed = check.check_int(seed, "seed", minimum=0)
    profile = _read_profile()
    problem = _backend_problem()
    if problem:
        raise ValueError(problem)
    _print_any_letter()
    for problem in (
        _place_problem(),
        _memory_problem(SCARCE),
        _disk_problem(DISK / 10),
    ):
        if problem:
            print(problem)
    keras = _import_keras()
    keras.utils.set_random_seed(seed)
    print(
        f"profile {profile.name} | backend {keras.backend.backend()} | "
        f"keras {keras.__version__} | numpy {_version('numpy')} | "
        f"python {platform.python_version()} | seed {seed}"
    )
    _set_formats(keras)
    return profile


def record(title, header, rows):
    """Print a results table; ``make full`` collects it for the results page.

    Args:
        title: What was measured, on which data.
        header: Column names.
        rows: Sequence of rows, each as long as ``header``. Numbers are
            formatted by the caller, so that the page shows what was printed.

    Raises:
        ValueError: a row whose length differs from the header's.
        OSError: the table cannot be kept; those before it are still there.
    """
    _print_any_letter()
    rows = [[str(cell) for cell in row] for row in rows]
    for row in rows:
        if len(row) != len(header):
            check.fail("rows", f"{len(header)} cells a row", f"{row}")
    table = [[str(name) for name in header], *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    print(title)
    for row in table:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
    folder = os.environ.get("COURSE_RESULTS")
    if folder:
        entry = {"title": title, "header": table[0], "rows": rows}
        path = pathlib.Path(folder) / "results.jsonl"
        kept = path.read_bytes() if path.exists() else b""
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        write_whole(path, kept + line.encode("utf-8"))


def _check_python(problems):
    version = sys.version_info[:2]
    print(f"python       {platform.python_version()} on {platform.system()}")
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        problems.append(
            f"Python {version[0]}.{version[1]} is not supported: the course "
            "needs 3.11, 3.12 or 3.13. Install one of them and run "
            "`make clean && make run PYTHON=python3.12`."
        )


def _check_packages(problems):
    missing = []
    for package in PACKAGES:
        found = _version(package)
        print(f"{package:<12} {found or 'MISSING'}")
        if found is None:
            missing.append(package)
    if missing:
        problems.append(MISSING.format(", ".join(missing)))


def _devices():
    import keras

    try:
        return ", ".join(keras.distribution.list_devices())
    except (NotImplementedError, AttributeError):  # PyTorch has no such list
        return "not reported by this backend"


def _check_backend(problems):
    problem = _backend_problem()
    if problem:
        problems.append(problem)
        return
    if _version("keras") is None:
        return
    try:
        keras = _import_keras()
    except Exception as error:  # the check reports whatever went wrong
        problems.append(
            f"Keras does not start: {type(error).__name__}: {error}. Try "
            "`make clean` and set up again."
        )
        return
    _set_formats(keras)
    name, asked = _asked_backend()
    by = "" if name == "tensorflow" else f"  (asked for by {asked})"
    print(f"backend      {name}{by}")
    print(f"device       {_devices()}")


def _check_data(problems):
    folder = os.environ.get("COURSE_DATA")
    print("data         digits, iris, breast_cancer: bundled")
    if not folder:
        print("             COURSE_DATA not set: full-size data sets are")
        print("             downloaded by Keras when first used")
        return
    path = pathlib.Path(folder)
    if not path.is_dir():
        problems.append(
            f"COURSE_DATA is {folder!r}, which is not a folder. Point it at "
            "the folder that holds mnist.npz, or unset it."
        )
        return
    found = sorted(file.name for file in path.glob("*.npz"))
    print(f"             in COURSE_DATA: {', '.join(found) or 'no .npz files'}")


def _check_place(problems):
    """Whether a notebook finds this ``utils`` and no other."""
    problem = _place_problem()
    if problem:
        problems.append(problem)
        return
    chapters = ROOT / "chapters"
    if not chapters.is_dir():
        return
    code = (
        "import importlib.util as u; s = u.find_spec('utils'); "
        "print(s.origin if s and s.origin else '')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=chapters,
        capture_output=True,
        text=True,
    ).stdout.strip()
    if not found:
        print("utils        seen from this folder alone: open notebooks with")
        print("             `make lab`, or run `pip install -e .` here once")
    elif pathlib.Path(found).resolve().parent != ROOT / "utils":
        way = "start with `make lab`, or uninstall that package"
        if pathlib.Path(found).resolve().is_relative_to(chapters):
            way = "rename that file"
        problems.append(
            f"A notebook would import another `utils`, {found}: {way}."
        )


def _check_room(problems):
    """Memory and disk."""
    free = _free_memory()
    if free is not None:
        print(f"memory       {free / GB:.1f} GB free")
    for problem in (_memory_problem(KERNEL), _disk_problem(DISK)):
        if problem:
            problems.append(problem)


def _check_proxy(problems):
    """Whether the proxy that downloads would go through answers."""
    for kind, address in sorted(urllib.request.getproxies().items()):
        if kind not in ("http", "https", "all"):
            continue
        whole = address if "://" in address else f"http://{address}"
        try:
            proxy = urllib.parse.urlsplit(whole)
            host, port = proxy.hostname, proxy.port or 80
            socket.create_connection((host, port), timeout=3).close()
        except (OSError, ValueError, TypeError) as error:
            problems.append(
                f"The proxy for {kind}, {_without_password(whole)}, does not "
                f"answer ({error}): correct or unset {kind.upper()}_PROXY, or "
                "packages and data sets cannot be downloaded."
            )
        else:
            print(f"proxy        {kind} by {_without_password(whole)}")


def _without_password(address):
    return re.sub(r"//[^/]*@", "//", address)


def main():
    """Print the set-up report; return 0 if all is well, else 1."""
    problems = []
    _print_any_letter()
    _check_python(problems)
    _check_packages(problems)
    _check_place(problems)
    _check_room(problems)
    _check_backend(problems)
    try:
        print(f"profile      {_read_profile().name}")
    except ValueError as error:
        problems.append(f"{error} Set it to quick or full, or unset it.")
    _check_data(problems)
    _check_proxy(problems)
    if not problems:
        print("\nAll is well: open a chapter with `make lab`.")
        return 0
    for number, problem in enumerate(problems, start=1):
        print(f"\nProblem {number}: {problem}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
