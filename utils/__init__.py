"""The tested library behind the chapters: rooms, and three files at the door.

===============  ==========================================================
``runtime``      start a chapter: profile, seed, quiet logs, records
``plotting``     arrays in, Figure out
``metrics``      numbers about arrays
``support``      validation, files, batches: what any room may use
``data``         data sets as NumPy arrays: ``data.load("digits")``
``nn``           parts of models: layers, losses, likelihoods, networks
``models``       one family, one file: ``from utils.models import VAE``
``training``     what happens in and after ``fit``
``baselines``    the classical opponents
``evaluation``   how results are judged
``checks``       one function an exercise: ``check_2_3(answer)``
===============  ==========================================================

A room imports only from rooms below its own: support < data, metrics,
plotting, nn < models < training, baselines < evaluation < checks. Importing
``utils`` imports nothing heavy; ``tests/course/test_architecture.py`` holds
both rules.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (that is what it is for)
    _message = (
        "The course needs Python 3.11, 3.12 or 3.13, and this is "
        + ".".join(map(str, sys.version_info[:2]))
        + ": install one of them, then `make clean && make run "
        "PYTHON=python3.12`."
    )
    if sys.argv[0] == "-m":  # python -m utils.runtime: no traceback
        sys.exit(_message)
    raise ImportError(_message)
