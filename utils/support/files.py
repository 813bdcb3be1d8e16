"""Files: written whole or not at all, and frozen ones as they were."""

import contextlib
import errno
import hashlib
import os
import pathlib

from utils.support import validation as check

__all__ = ["check_frozen", "replacing", "write_whole"]


@contextlib.contextmanager
def replacing(path):
    """Give the path of a new file that takes the place of ``path``.

    The new file stands beside the old one until the block ends without an
    error; then it takes its name in one step. A full disk, an exception or a
    killed process leave the old file as it was.

    Args:
        path: File to write, in a folder that exists.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the file cannot be written; the message names it.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        message = f"{path}: there is no folder {path.parent} yet. Make it first"
        raise FileNotFoundError(errno.ENOENT, f"{message}.")
    # Keras and NumPy go by the end of a name
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())  # a disk may turn out full only here
        os.replace(partial, path)
    except OSError as error:
        _remove(partial)
        kept = "The earlier file is still" if path.is_file() else "No file is"
        message = (
            f"{path}: could not be saved ({error.strerror or error}). {kept} "
            "there. Free some space or choose another folder, and save "
            "again."
        )
        known = (error.errno,) if error.errno else ()
        raise OSError(*known, message) from error
    except BaseException:
        _remove(partial)
        raise


def _remove(partial):
    """Remove what was begun, if anything was."""
    with contextlib.suppress(OSError):
        partial.unlink()


def write_whole(path, content):
    """Write bytes, or text as UTF-8, whole or not at all."""
    if isinstance(content, str):
        content = content.encode("utf-8")
    with replacing(path) as partial:
        partial.write_bytes(content)


def check_frozen(content, digest, name):
    """Refuse bytes that are not those of the course's frozen file.

    Raises:
        ValueError: another SHA-256 than ``digest``; it names the file.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        expected = f"the frozen file of the course, SHA-256 {digest[:12]}…"
        restore = "restore it, `git checkout utils/data/frozen`"
        check.fail(name, expected, f"{found[:12]}…: {restore}")
