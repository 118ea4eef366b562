"""Who takes part in a round, and who in none."""

from __future__ import annotations

import hashlib
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


def draw_each(user_ids: Iterable[str], rate: float, seed: int, round_number: int) -> list[str]:
    """Returns a cohort for which each user is drawn by itself, sorted: its size is not fixed (Poisson sampling).

    What is known of differential privacy under sampling holds for this draw. It depends on the set of users, the seed
    and the round alone.

    Args:
      user_ids: Who could take part.
      rate: How likely each takes part.
      seed: Of the run.
      round_number: From 1.
    """
    candidates = sorted(set(user_ids))
    drawn = np.random.default_rng([seed, round_number]).random(len(candidates)) < rate
    return [candidates[row] for row in np.flatnonzero(drawn).tolist()]


def hold_out(user_ids: Iterable[str], count: int) -> list[str]:
    """Returns the people who take part in no round, at most half of all, sorted.

    Who they are depends on their ids alone, not on a seed: no tower of an earlier run was trained on them, and of
    those who join later some are among them.

    Args:
      user_ids: Everybody.
      count: How many are wanted.
    """
    drawn = sorted(set(user_ids), key=lambda user_id: hashlib.sha256(user_id.encode()).digest())
    return sorted(drawn[: min(count, len(drawn) // 2)])
