from __future__ import annotations

import numpy as np
import pytest

from recsys.metrics.ranking import MISSED, auc, full_rank, hit_at, ndcg_at, rank_of


def test_the_first_place_gains_one_the_third_half_and_the_eleventh_nothing():
    ranks = np.asarray([0, 2, 10, MISSED], np.int32)
    assert ndcg_at(ranks, 10).tolist() == [1.0, 0.5, 0.0, 0.0]  # 1 / log2(2), 1 / log2(4)
    assert hit_at(ranks, 10).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_the_rank_of_an_absent_item_is_missed():
    ranking = np.asarray([7, 3, 5], np.int32)
    assert [rank_of(item, ranking) for item in (7, 5, 9)] == [0, 2, MISSED]


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([3, 2, 1], [True, False, False], 1.0),
        ([1, 2, 3], [True, False, False], 0.0),
        ([2, 2, 1], [True, False, False], 0.75),  # a tie (half) and a win, out of two
        ([1, 2], [True, True], None),
        ([1, 2], [False, False], None),
    ],
)
def test_the_auc_is_the_share_of_pairs_in_order(scores, labels, expected):
    assert auc(np.asarray(scores, np.float32), np.asarray(labels)) == expected


def test_thefull_rank_counts_better_items_and_ties_with_a_lower_index():
    scores = np.asarray([9.0, 5.0, 7.0, 5.0, 1.0], np.float32)
    allowed = np.asarray([False, True, True, True, True])
    assert [full_rank(scores, target, allowed) for target in (2, 1, 3, 4)] == [0, 1, 2, 3]
    assert full_rank(scores, 2, np.zeros(5, np.bool_)) == MISSED
