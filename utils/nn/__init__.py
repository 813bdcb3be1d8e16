"""Parts of models: layers, losses, likelihoods, networks, augmentation.

``networks`` and ``augmentation`` are put together from ``layers``, and
``likelihoods`` from ``losses``.
"""
