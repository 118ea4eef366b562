from __future__ import annotations

import numpy as np
import pytest

from benchmarks.baselines.blend import Blend
from benchmarks.baselines.ease import Ease, Recency
from benchmarks.baselines.transitions import Transitions
from tests.benchmarks.tasks import make_log, make_requests


def test_the_blend_is_transitions_and_half_of_both_kinds_of_ease_each_standardised() -> None:
    log, requests = make_log([0, 1, 2], [1, 2, 3], [2, 0], num_items=4), make_requests([0, 2], [[3], [1]])
    parts = (Transitions(2, 0.5, 1.0, 0.1), Ease(2.0, Recency(0.1, 1.0)), Ease(1.0))
    blend = Blend(*parts)
    blend.fit(log, seed=0)
    expected = np.zeros((2, 4))
    for weight, part in zip((1.0, 0.5, 0.5), parts, strict=True):
        scores = part.score(requests)
        expected += weight * (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
    assert blend.score(requests) == pytest.approx(expected, abs=1e-5)


def test_other_histories_are_scored_by_the_blend_of_the_same_parts() -> None:
    log, others = make_log([0, 1, 2], [1, 2, 3], [2, 0], num_items=4), make_log([3, 1], [0], [2, 0], num_items=4)
    blend = Blend(Transitions(2, 0.5, 1.0, 0.1), Ease(2.0, Recency(0.1, 1.0)), Ease(1.0))
    blend.fit(log, seed=0)
    own = blend.score(make_requests([2], [[1]]))
    blend.fold_in(others)
    assert blend.score(make_requests([2], [[1]])).tolist() == own.tolist()
    assert blend.score(make_requests([0], [[1]])).tolist() != own.tolist()
