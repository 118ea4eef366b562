from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cold.baselines import category_popularity, history_affinity
from recsys.features.catalogue import Catalogue


@pytest.fixture
def catalogue():
    """Items 1 and 2 were seen; 3 has the category of 1, 4 both categories, 5 none, 6 one that no seen item has."""
    categories = np.zeros((7, 4), np.int32)
    categories[1, 0], categories[2, :2], categories[3, 0], categories[4, :2], categories[6, 0] = 1, (1, 2), 1, (1, 2), 3
    counts = np.array([0, 6, 2, 0, 0, 0, 0], np.float32)
    surfaces = np.array([-1, 0, 0, 0, 0, 0, 0], np.int8)
    return Catalogue(tuple("abcdef"), surfaces, categories, 3, counts, counts, counts)


def test_seen_items_have_their_own_count_and_others_the_mean_of_their_categories(catalogue):
    # Category 1: (6 + 2) / 2 = 4; category 2: 2; so item 4 has their mean, 3.
    assert category_popularity(catalogue).tolist() == [0, 6, 2, 4, 3, 0, 0]


def test_affinity_is_the_share_of_the_history_with_the_category(catalogue):
    # Both items of the history bear category 1, one bears category 2.
    assert history_affinity(catalogue, np.array([1, 2], np.int32)).tolist() == [0, 1, 0.75, 1, 0.75, 0, 0]


def test_an_empty_history_likes_nothing(catalogue):
    assert not history_affinity(catalogue, np.zeros(0, np.int32)).any()
