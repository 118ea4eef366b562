from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evaluation import measure, rank_targets
from recsys.metrics.ranking import MISSED
from tests.benchmarks.tasks import make_log, make_requests


def always(*scores: float):
    return lambda requests: np.tile(np.array(scores, np.float32), (len(requests), 1))


def test_the_rank_counts_better_items_that_the_user_has_not_chosen() -> None:
    # Item 0 is the best, but user 0 has it.
    log = make_log([0], [], num_items=4)
    requests = make_requests([0, 1], [[2], [2]])
    assert rank_targets(always(9, 8, 7, 1), log, requests).tolist() == [1, 2]


def test_ties_stand_in_the_order_of_the_items() -> None:
    requests = make_requests([0], [[0, 2]])
    assert rank_targets(always(1, 1, 1), make_log([], num_items=3), requests).tolist() == [0, 2]


def test_an_item_that_is_not_proposed_is_missed() -> None:
    requests = make_requests([0], [[1]])
    assert rank_targets(always(1, -np.inf), make_log([], num_items=2), requests).tolist() == [MISSED]


def test_named_candidates_are_ranked_alone_and_even_if_chosen_before() -> None:
    log = make_log([1], num_items=4)
    requests = make_requests([0], [[2]], [[2, 1, 0]])
    # Item 3 is no candidate; item 1 is one although the user has it; item 0 ties and comes first.
    assert rank_targets(always(5, 6, 5, 9), log, requests).tolist() == [2]


def test_requests_are_ranked_alike_however_they_are_cut() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((1_100, 5), np.float32)
    log = make_log(*[[]] * 1_100, num_items=5)
    requests = make_requests(list(range(1_100)), [[int(item)] for item in rng.integers(0, 5, 1_100)])
    ranks = rank_targets(lambda part: scores[part.users], log, requests)
    assert ranks.tolist() == [
        int((scores[user] > scores[user, item]).sum()) for user, item in enumerate(requests.targets.tolist())
    ]


def test_one_target_gains_by_its_place() -> None:
    requests = make_requests([0, 1, 2], [[0], [1], [2]])
    values = measure(requests, np.array([0, 2, 50], np.int32))
    assert values["hit_rate_at_10"].tolist() == [1, 1, 0]
    assert values["ndcg_at_10"].tolist() == [1.0, 0.5, 0.0]
    assert values["recall_at_100"].tolist() == [1, 1, 1]


def test_several_targets_share_one_ideal_list() -> None:
    # Gains 1 and 1 / log2(4) of an ideal 1 + 1 / log2(3) + 1 / log2(4); two of three within 100.
    values = measure(make_requests([0], [[0, 1, 2]]), np.array([0, 2, MISSED], np.int32))
    assert values["ndcg_at_10"].tolist() == pytest.approx([1.5 / (1.5 + 1 / np.log2(3))])
    assert values["hit_rate_at_10"].tolist() == [1]
    assert values["recall_at_100"].tolist() == pytest.approx([2 / 3])


def test_the_ideal_list_has_ten_places() -> None:
    values = measure(make_requests([0], [list(range(12))]), np.arange(12, dtype=np.int32))
    assert values["ndcg_at_10"].tolist() == pytest.approx([1.0])


def test_recall_at_100_is_left_out_where_there_are_no_more_candidates() -> None:
    assert "recall_at_100" not in measure(make_requests([0], [[0]], [[0, 1]]), np.array([0], np.int32))
