"""What happens in and after ``fit``: the recipe, callbacks, repeats, transfer.

``pretraining`` rests on the small trainings of ``classifiers``; these and
``repeats`` on ``recipes``, as do the many models of ``designs``.
"""
