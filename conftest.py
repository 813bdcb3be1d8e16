"""Unit tests and notebooks in one run that keeps all cores busy to its end.

With ``-n auto`` there are as many workers as cores and memory allow, and each
gets its share of the cores. A file of tests and a notebook are units of work,
the long ones first.
"""

import gc
import os
import warnings

import pytest
import results_page
import sittings
from nbval.plugin import IPyNbCell

pytest_plugins = ("nbval_numbers",)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """What ``-n auto`` means."""
    return sittings.room()


def pytest_configure(config):
    """Share the cores among the workers."""
    workers = getattr(config.option, "numprocesses", None)
    if workers:  # here, before the workers start
        os.environ.update(sittings.threads(workers))


def pytest_collection_modifyitems(items):
    """Put notebooks in front, and large files of tests before small ones."""
    seconds = results_page.times("quick")

    def order(item):
        if isinstance(item, IPyNbCell):
            return 0, -seconds.get(item.path.stem, 0.0), str(item.path)
        return 1, -item.path.stat().st_size, str(item.path)

    items.sort(key=order)  # stable: within a file nothing moves
    for item in items:
        if isinstance(item, IPyNbCell):  # nbval and zmq warn a lot
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Free a notebook's kernel here: nbval leaves files open."""
    yield
    if isinstance(item, IPyNbCell) and (
        nextitem is None or nextitem.parent is not item.parent
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            item.parent.kernel = None
            gc.collect()
