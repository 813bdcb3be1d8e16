"""Plugins of pytest, for the unit tests and the notebooks alike."""

pytest_plugins = ("nbval_numbers",)
