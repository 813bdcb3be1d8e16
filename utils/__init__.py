"""The tested library behind the chapters.

Importing ``utils`` imports nothing heavy: each module is imported by name,
``from utils import autoencoders``. The floors of the library, lowest first:

- ``_validation``, ``runtime``
- ``data``, ``metrics``, ``plotting``, ``backend``, ``losses``, ``layers``
- ``networks``, ``reconstruction``
- ``autoencoders``
- ``callbacks``
- ``checks``

A module imports only from floors below its own;
``tests/test_architecture.py`` enforces it.
"""
