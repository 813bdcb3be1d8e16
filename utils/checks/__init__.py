"""Checks of the exercises: one module a chapter, one function an exercise.

``check_2_3(answer)`` accepts any right answer, prints a line that says so
and what to try next, and otherwise raises :class:`AssertionError` with
feedback that names the mistake. ``chapter_05`` goes on in ``chapter_05_text``.
"""
