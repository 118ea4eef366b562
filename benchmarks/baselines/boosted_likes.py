"""Gradient boosting on past counts and context: what may be known of a judgement before it is made.

Greedy Function Approximation: A Gradient Boosting Machine, Friedman, Annals of Statistics 2001; with trees on binned
values as in LightGBM (Ke et al., NeurIPS 2017), by scikit-learn.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.baselines.likes import count_before
from benchmarks.judgements import Judgements
from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array, Int64Array

_PRIOR_ROWS: Final = 2.0
_HOUR_MS: Final = 3_600_000
_DAY_HOURS: Final = 24
_TREES: Final = {"max_iter": 100, "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 20}
"""The best of nine on the last fifth of each person's known rows: 50, 100 or 200 trees of 4, 8 or 16 leaves."""


def score_boosted(task: Judgements) -> Float32Array:
    """Returns the log odds of a like of each tested row, `[num_tested]` float32.

    A known row is described by what came before it: likes and dislikes of the video, and of the person. A tested row is
    described by all that is known.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    known, tested = np.flatnonzero(~task.tested), np.flatnonzero(task.tested)
    model = HistGradientBoostingClassifier(**_TREES, early_stopping=False, random_state=0)
    of_videos, of_people = count_before(task, known, task.items), count_before(task, known, task.users)
    model.fit(_describe(task, known, of_videos, of_people), task.liked[known])
    videos = _count_known(task, task.items, tested)
    people = _count_known(task, task.users, tested)
    return model.decision_function(_describe(task, tested, videos, people)).astype(np.float32)


def _count_known(task: Judgements, keys: Int64Array, rows: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Known likes and dislikes with the key of each of some rows."""
    size = int(keys.max(initial=0)) + 1
    counts = (np.bincount(keys[chosen], minlength=size) for chosen in _known(task))
    likes, dislikes = (count[keys[rows]].astype(np.float64) for count in counts)
    return likes, dislikes


def _known(task: Judgements) -> tuple[BoolArray, BoolArray]:
    return task.liked & ~task.tested, ~task.liked & ~task.tested


def _describe(
    task: Judgements,
    rows: Int64Array,
    videos: tuple[Float64Array, Float64Array],
    people: tuple[Float64Array, Float64Array],
) -> Float64Array:
    hour = task.times_ms[rows] // _HOUR_MS % _DAY_HOURS
    columns = [column for likes, dislikes in (videos, people) for column in (likes, dislikes, _rate(likes, dislikes))]
    return np.stack([*columns, hour], axis=1).astype(np.float64)


def _rate(likes: Float64Array, dislikes: Float64Array) -> Float64Array:
    return (likes + 0.5 * _PRIOR_ROWS) / (likes + dislikes + _PRIOR_ROWS)
