"""Clusters that are named by few labels."""

import numpy as np
import pytest

from utils.baselines.clusterings import ClusterThenLabel


def test_group_takes_the_name_nearest_to_its_centre():
    x = np.array([[0.0], [0.2], [0.4], [9.0], [9.2], [9.4]])
    y = np.array([5, -1, -1, 8, 2, -1])  # 2 is nearer to 9.2 than 8
    model = ClusterThenLabel(2, n_init=3, random_state=0).fit(x, y)
    assert model.predict([[0.1], [9.3]]).tolist() == [5, 2]
    assert model.score(x, np.array([5, 5, 5, 2, 2, 5])) == 5 / 6


def test_no_label_at_all_is_refused():
    with pytest.raises(ValueError, match="y: expected at least one class"):
        ClusterThenLabel(2).fit(np.zeros((3, 1)), [-1, -1, -1])
