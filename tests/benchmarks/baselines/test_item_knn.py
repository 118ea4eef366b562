from __future__ import annotations

import pytest

from benchmarks.baselines.item_knn import ItemKnn
from tests.benchmarks.tasks import make_log, make_requests


def test_the_score_is_the_sum_of_cosines_to_the_items_of_the_user() -> None:
    # Items 0 and 1 have two users each and share one: 1 / 2. Item 2 has one, which is shared with item 0: 1 / sqrt(2).
    model = ItemKnn(num_neighbours=3, shrinkage=0.0)
    model.fit(make_log([0, 1], [0, 2], [1], num_items=3), seed=0)
    scores = model.score(make_requests([2, 1], [[0], [1]]))
    assert scores[0].tolist() == pytest.approx([1 / 2, 0.0, 0.0])
    assert scores[1].tolist() == pytest.approx([2**-0.5, 1 / 2, 2**-0.5])


def test_only_the_nearest_neighbours_of_a_candidate_vote_for_it() -> None:
    model = ItemKnn(num_neighbours=1, shrinkage=0.0)
    model.fit(make_log([0, 1], [0, 1], [0, 2], num_items=3), seed=0)
    # The one neighbour of item 0 is item 1 (2 / sqrt(6) against 1 / sqrt(3)): item 2 does not vote for it.
    scores = model.score(make_requests([0, 2], [[2], [1]]))
    assert scores[0].tolist() == pytest.approx([2 / 6**0.5, 2 / 6**0.5, 3**-0.5])
    assert scores[1].tolist() == pytest.approx([0.0, 2 / 6**0.5, 3**-0.5])


def test_shrinkage_enters_the_denominator() -> None:
    model = ItemKnn(num_neighbours=1, shrinkage=3.0)
    model.fit(make_log([0, 1], [0, 1], num_items=2), seed=0)
    assert model.score(make_requests([0], [[1]]))[0].tolist() == pytest.approx([2 / 5, 2 / 5])
