"""What happens in and after ``fit``: callbacks, repeats, transfer.

``pretraining`` rests on the small trainings of ``classifiers``.
"""
