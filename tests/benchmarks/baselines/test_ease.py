from __future__ import annotations

import pytest

from benchmarks.baselines.ease import Ease, Recency
from tests.benchmarks.tasks import make_log, make_requests

LOG = make_log([0, 1], [0, 1], [0], num_items=2)
# Gram matrix [[3, 2], [2, 2]], with 1 on the diagonal [[4, 2], [2, 3]]; its inverse P is [[3, -2], [-2, 4]] / 8.
# B[i, j] = -P[i, j] / P[j, j]: B[0, 1] = 2 / 4, B[1, 0] = 2 / 3.


def test_the_weights_are_those_of_the_closed_form_with_a_zero_diagonal() -> None:
    model = Ease(l2=1.0)
    model.fit(LOG, seed=0)
    scores = model.score(make_requests([0, 2], [[0], [1]]))
    assert scores.ravel().tolist() == pytest.approx([2 / 3, 1 / 2, 0.0, 1 / 2])


def test_recency_weighs_the_profile_and_not_the_weights() -> None:
    model = Ease(l2=1.0, recency=Recency(floor=0.0, half_life=1.0))
    model.fit(LOG, seed=0)
    # The profile of user 0 is [1/2, 1].
    assert model.score(make_requests([0], [[0]]))[0].tolist() == pytest.approx([2 / 3, 1 / 4])


@pytest.mark.parametrize(("recency", "expected"), [(None, [2 / 3, 1 / 2]), (Recency(0.0, 1.0), [1 / 3, 1 / 2])])
def test_other_histories_are_scored_by_the_same_weights(recency: Recency | None, expected: list[float]) -> None:
    model = Ease(l2=1.0, recency=recency)
    model.fit(LOG, seed=0)
    model.fold_in(make_log([1, 0], num_items=2))
    assert model.score(make_requests([0], [[0]]))[0].tolist() == pytest.approx(expected)
