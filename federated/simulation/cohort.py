"""Who takes part in a round."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def sample_cohort(user_ids: Iterable[str], count: int, seed: int, round_number: int) -> list[str]:
    """Returns at most `count` users, drawn without replacement, sorted.

    The draw depends on the set of users, the seed and the round alone: not on the order in which users come, nor on
    the rounds before, so that a resumed run draws the same cohorts.

    Args:
      user_ids: Who could take part.
      count: How many are wanted.
      seed: Of the run.
      round_number: From 1.
    """
    candidates = sorted(set(user_ids))
    if len(candidates) <= count:
        return candidates
    drawn = np.random.default_rng([seed, round_number]).choice(len(candidates), count, replace=False)
    return [candidates[row] for row in sorted(drawn.tolist())]
