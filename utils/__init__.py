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
