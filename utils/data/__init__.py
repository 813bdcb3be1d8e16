"""Data sets as NumPy arrays, bundled or generated: ``data.load("digits")``.

One file a kind; `frozen/` holds the files that the course ships, each with
its licence. Nothing here imports Keras. ``sets`` puts together what
``full_size`` reads and ``toy`` generates.
"""

from utils.data.sets import DATASETS, Dataset, corrupt, load, make_toy

__all__ = ["DATASETS", "Dataset", "corrupt", "load", "make_toy"]
