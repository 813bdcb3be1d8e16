"""Execute notebooks, as many at a time as the machine has room for.

A sitting is a notebook with a kernel of its own. All that can go wrong with
one is caught here, in ``Sitting.execute``; the others run on.
"""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import sys
import time

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

ROOT = pathlib.Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 600  # seconds; the full profile trains for minutes,
PATIENCE = 6  # so it gets this many times as long: a processor may be slow
MEMORY = 2 * 1024**3  # bytes that a kernel may take
SKIP = "skip-execution"
THREADS = (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def sources(pattern=""):
    """Paths of the chapter sources whose name contains ``pattern``."""
    return [p for p in sorted(ROOT.glob("source/*.py")) if pattern in p.stem]


def tags(cell):
    """Tags of a cell as a set."""
    return set(cell.metadata.get("tags", ()))


@dataclasses.dataclass
class Sitting:
    """A notebook to execute, and how it went.

    Args:
        name: What to call it in messages.
        notebook: The notebook; gets its outputs in place.
        folder: Where its kernel starts.
        environment: Environment variables of the kernel, beside our own.
        keep_going: Run the cells behind one that fails as well.
    """

    name: str
    notebook: nbformat.NotebookNode
    folder: pathlib.Path
    environment: dict = dataclasses.field(default_factory=dict)
    keep_going: bool = False
    cell: int = 0  # the last one started, as numbered in the notebook
    seconds: float | None = None  # once it has ended
    memory: int = 0  # largest resident size of the kernel so far, bytes
    error: str | None = None  # one line; in which cell, and what
    details: str = ""  # the failing cell and its traceback
    kernel: psutil.Process | None = None
    stopped: bool = False

    @property
    def cells(self):
        """How many cells are to run."""
        return sum(
            cell.cell_type == "code" and SKIP not in tags(cell)
            for cell in self.notebook.cells
        )

    @property
    def timeout(self):
        """Seconds that a cell may take."""
        full = self.environment.get("COURSE_PROFILE") == "full"
        return CELL_TIMEOUT * (PATIENCE if full else 1)

    @property
    def running(self):
        """Whether its kernel is at work."""
        return self.kernel is not None and self.seconds is None

    def execute(self):
        """Run every cell that is not tagged to be skipped."""
        client = NotebookClient(
            self.notebook,
            timeout=self.timeout,
            kernel_name="python3",
            allow_errors=self.keep_going,
            resources={"metadata": {"path": str(self.folder)}},
            record_timing=False,
            skip_cells_with_tag=SKIP,
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
            on_notebook_start=lambda **_: self._begin(client),
            on_cell_execute=lambda **_: self._next(),
            on_cell_executed=lambda **_: self._measure(),
        )
        start = time.perf_counter()
        try:
            environment = {**os.environ, **self.environment}
            asyncio.run(client.async_execute(env=environment))
        except CellExecutionError as error:
            self._fail(f"{error.ename}: {error.evalue}", str(error))
        except CellTimeoutError as error:
            self._fail(f"not done after {self.timeout} s", str(error))
        except RuntimeError as error:  # it does not start, or has died
            self._fail(f"{error}; is there enough memory?")
        self.seconds = time.perf_counter() - start
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = joined(cell.outputs)
        self.notebook.metadata["language_info"] = {"name": "python"}

    def stop(self):
        """End the kernel at once; ``execute`` then ends too."""
        self.stopped = True
        if self.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.kernel.kill()

    def _begin(self, client):
        self.kernel = psutil.Process(client.km.provisioner.pid)
        if self.stopped:  # while the kernel was starting
            self.stop()

    def _next(self):
        self.cell += 1

    def _measure(self):
        with contextlib.suppress(psutil.NoSuchProcess):
            # on Windows the interpreter is a child of the one started
            family = [self.kernel, *self.kernel.children(recursive=True)]
            self.memory = max(self.memory, *map(peak_memory, family))

    def _fail(self, message, details=""):
        where = f"in cell [{self.cell}]" if self.cell else "at the start"
        self.error = f"{where}: {message}"
        self.details = re.sub(r"\x1b\[[\d;]*m", "", details)


def settled(text):
    """What is left of printed text when lines were written over."""
    return re.sub(r"[^\n]*\r(?=[^\n])", "", text)


def joined(outputs):
    """Outputs of a cell; streams that follow each other are one, settled."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = settled(output.text)
    return merged


def peak_memory(process):
    """Largest resident size of a process in bytes; on macOS that of now."""
    with contextlib.suppress(FileNotFoundError):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text("utf-8")
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])
    info = process.memory_info()
    return getattr(info, "peak_wset", info.rss)


def cores():
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def room():
    """How many kernels at a time: one a core, if memory allows."""
    free = psutil.virtual_memory().available // MEMORY
    return max(1, min(cores(), free))


def threads(jobs):
    """Environment in which so many kernels share the cores among them.

    More threads than cores wait for each other. What the user has set stays.
    """
    share = str(max(1, cores() // jobs))
    return {name: os.environ.get(name, share) for name in THREADS}


def run_all(sittings, jobs):
    """Execute the sittings in order, ``jobs`` at a time.

    On a terminal one line, rewritten in place, says what runs; elsewhere a
    line is printed for each sitting that has ended.

    Args:
        sittings: List of :class:`Sitting`.
        jobs: Integer ≥ 1.

    Yields:
        Each sitting as soon as it has ended, failed or not.
    """
    jobs = max(1, min(jobs, len(sittings)))
    for sitting in sittings:
        sitting.environment = {**threads(jobs), **sitting.environment}
    line = ProgressLine(sittings)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(s.execute): s for s in sittings}
        try:
            while pending:
                ended, _ = concurrent.futures.wait(
                    pending, 0.5, concurrent.futures.FIRST_COMPLETED
                )
                for future in ended:
                    sitting = pending.pop(future)
                    future.result()  # raises what execute did not expect
                    line.tell(sitting)
                    yield sitting
                line.show()
        except BaseException:  # Ctrl-C too: leave no kernel behind
            pool.shutdown(wait=False, cancel_futures=True)
            for sitting in sittings:
                sitting.stop()
            raise
        finally:
            line.clear()


class ProgressLine:
    """One line on the state of all sittings."""

    def __init__(self, sittings):
        self.sittings = sittings
        self.ended = []
        self.start = time.perf_counter()
        self.terminal = sys.stdout.isatty()

    def text(self):
        """``[3/20] 04a_… 12/44 · 05a_… 3/40 · 71 s``."""
        parts = [
            f"{sitting.name} {sitting.cell}/{sitting.cells}"
            for sitting in self.sittings
            if sitting.running
        ]
        parts.append(f"{time.perf_counter() - self.start:.0f} s")
        return f"{self._count()} {' · '.join(parts)}"

    def show(self):
        """Rewrite the line, on a terminal."""
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + self.text()[:width].ljust(width), end="", flush=True)

    def clear(self):
        """Make room for what is printed next."""
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + " " * width + "\r", end="", flush=True)

    def tell(self, sitting):
        """Print how a sitting ended; on a terminal only if it failed."""
        self.ended.append(sitting)
        verdict = f"{sitting.seconds:.0f} s"
        if sitting.error is not None:
            verdict = f"FAILED {sitting.error}"
        elif self.terminal:
            return
        self.clear()
        print(f"{self._count()} {sitting.name}  {verdict}", flush=True)

    def _count(self):
        return f"[{len(self.ended)}/{len(self.sittings)}]"
