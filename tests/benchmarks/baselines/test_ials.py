from __future__ import annotations

import numpy as np

from benchmarks.baselines.ials import Ials
from tests.benchmarks.tasks import make_log, make_requests

# Two crowds with two items each that never meet; user 6 has chosen one item of the first.
LOG = make_log(*[[0, 1]] * 6, [0], *[[2, 3]] * 6, num_items=4)


def fit(seed: int) -> np.ndarray:
    model = Ials(factors=2, l2=0.1, alpha=5.0, iterations=10)
    model.fit(LOG, seed)
    return model.score(make_requests([6], [[1]]))[0]


def test_a_user_is_shown_what_the_own_crowd_chose() -> None:
    scores = fit(seed=0)
    assert scores[1] > 0.5 > max(scores[2], scores[3])


def test_equal_seeds_give_equal_factors_and_another_seed_others() -> None:
    assert fit(seed=1).tolist() == fit(seed=1).tolist()
    assert fit(seed=1).tolist() != fit(seed=2).tolist()
