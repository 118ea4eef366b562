import numpy as np
import pytest

from pipelines.training.examples import Sequences
from pipelines.training.requests import (
    first_requests,
    ndcg_at_10,
    period_requests,
    score_catalogue,
    target_ranks,
    validation_requests,
)
from recsys.features.catalogue import Catalogue

SEQUENCES = Sequences(
    offsets=np.array([0, 4, 6, 8]),
    items=np.array([1, 2, 1, 3, 2, 1, 4, 4], np.int32),
    is_validation=np.array([False, False, True, True, True, True, False, True]),
)


def catalogue(surfaces):
    num_items = len(surfaces)
    zeros = np.zeros(num_items + 1, np.float32)
    return Catalogue(
        item_ids=tuple(f"i{index}" for index in range(num_items)),
        surfaces=np.array([-1, *surfaces], np.int8),
        categories=np.zeros((num_items + 1, 4), np.int32),
        num_categories=0,
        impressions=zeros,
        positives=zeros,
        recent=zeros,
    )


def test_requests_are_the_validation_items_that_are_new_to_their_user():
    requests = validation_requests(SEQUENCES)
    assert requests.places.tolist() == [3, 4, 5]
    assert requests.users.tolist() == [0, 1, 1]
    assert requests.targets.tolist() == [3, 2, 1]


def test_first_requests_are_one_per_user():
    assert first_requests(validation_requests(SEQUENCES), 10, seed=0).places.tolist() == [3, 4]


def test_first_requests_are_drawn_by_the_seed_where_there_are_too_many():
    many = Sequences(np.arange(101), np.ones(100, np.int32), np.ones(100, bool))
    drawn = [first_requests(validation_requests(many), 10, seed).users.tolist() for seed in (1, 1, 2)]
    assert len(set(drawn[0])) == 10
    assert drawn[0] == sorted(drawn[0]) == drawn[1] != drawn[2]


def test_what_is_seen_or_of_another_surface_or_no_item_cannot_be_shown():
    requests = validation_requests(SEQUENCES)
    queries = np.ones((3, 1), np.float32)
    vectors = np.array([[0], [1], [2], [3], [4], [5]], np.float32)
    chunks = list(score_catalogue(requests, SEQUENCES, queries, vectors, catalogue([0, 0, 0, 0, 1])))
    scores = np.concatenate([scores for _, scores in chunks])
    never = -np.inf
    assert scores.tolist() == [
        [never, never, never, 3.0, 4.0, never],
        [never, 1.0, 2.0, 3.0, 4.0, never],
        [never, 1.0, never, 3.0, 4.0, never],
    ]


def test_equal_scores_stand_by_item_index():
    scores = np.array([[-np.inf, 1.0, 2.0, 2.0, 2.0]] * 3, np.float32)
    assert target_ranks(scores, np.array([3, 2, 1])).tolist() == [1, 0, 3]


def test_ndcg_counts_the_first_ten_places():
    assert ndcg_at_10(np.array([0])) == 1.0
    assert ndcg_at_10(np.array([2])) == pytest.approx(0.5)
    assert ndcg_at_10(np.array([10, np.inf])) == 0.0
    assert ndcg_at_10(np.array([0, 2, 10, 500])) == pytest.approx(1.5 / 4)
    assert ndcg_at_10(np.zeros(0, np.int64)) == 0.0


def test_what_a_period_holds_is_asked_for_at_its_beginning():
    requests = period_requests(SEQUENCES, 10, 0)
    assert requests.targets.tolist() == [3, 2, 1]
    assert requests.users.tolist() == [0, 1, 1]
    assert requests.places.tolist() == [2, 4, 4], "nothing of the period is known"


def test_so_many_items_of_a_period_are_drawn_for_each_user():
    drawn = [period_requests(SEQUENCES, 1, seed) for seed in range(20)]
    assert all(requests.users.tolist() == [0, 1] for requests in drawn)
    assert {int(requests.targets[1]) for requests in drawn} == {1, 2}
