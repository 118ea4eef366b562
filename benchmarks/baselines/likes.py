"""What tells a like from a dislike without any model of the person: what others made of the video."""

from __future__ import annotations

import numpy as np

from benchmarks.judgements import Judgements
from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array

_PRIOR_ROWS = 2.0
"""Judgements at the overall rate that every video starts with."""

_L2 = 1.0
_STEPS = 20


def score_liked_before(task: Judgements) -> Float32Array:
    """Returns 1 for tested rows whose video anybody liked in the known part, else 0, `[num_tested]` float32."""
    return (task.known_likes > 0)[task.items[task.tested]].astype(np.float32)


def score_like_rate(task: Judgements) -> Float32Array:
    """Returns the known like rate of each tested row's video, drawn to the overall one, `[num_tested]` float32."""
    likes, dislikes = task.known_likes, task.known_dislikes
    overall = task.liked[~task.tested].mean()
    rate = (likes + _PRIOR_ROWS * overall) / (likes + dislikes + _PRIOR_ROWS)
    return rate[task.items[task.tested]].astype(np.float32)


def score_logistic(task: Judgements) -> Float32Array:
    """Returns the log odds of a logistic regression on counts, `[num_tested]` float32.

    A known row is described by what came before it, a tested one by all that is known.
    """
    known = np.flatnonzero(~task.tested)
    likes, dislikes = count_before(task, known, task.items)
    weights, mean, deviation = _fit(_features(likes, dislikes), task.liked[known])
    items = task.items[task.tested]
    described = (_features(task.known_likes[items], task.known_dislikes[items]) - mean) / deviation
    return (_with_constant(described) @ weights).astype(np.float32)


def count_before(
    task: Judgements, rows: Int64Array, keys: Int32Array | Int64Array
) -> tuple[Float64Array, Float64Array]:
    """Returns likes and dislikes with the same key before each of some rows, by time, `[num_chosen]` float64 each.

    Args:
      task: Whose rows.
      rows: `[num_chosen]` int64; others are not counted.
      keys: `[num_rows]`, such as the video of each row.
    """
    order = np.lexsort((task.times_ms[rows], keys[rows]))
    chosen, liked = keys[rows][order], task.liked[rows][order].astype(np.float64)
    first = np.r_[True, chosen[1:] != chosen[:-1]]
    group = np.cumsum(first) - 1
    counts = []
    for value in (liked, 1.0 - liked):
        before = np.cumsum(value) - value
        of_rows = np.empty(len(rows))
        of_rows[order] = before - before[first][group]
        counts.append(of_rows)
    return counts[0], counts[1]


def _features(likes: Float64Array, dislikes: Float64Array) -> Float64Array:
    rate = (likes + 1.0) / (likes + dislikes + 2.0)
    return np.stack([np.log1p(likes), np.log1p(dislikes), rate, likes > 0], axis=1).astype(np.float64)


def _fit(features: Float64Array, labels: BoolArray) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Newton's method on the penalised likelihood; returns weights, and the scale of the features."""
    mean, deviation = features.mean(0), np.maximum(features.std(0), 1e-9)
    inputs = _with_constant((features - mean) / deviation)
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (chance - labels) + _L2 * weights
        curvature = (inputs * (chance * (1.0 - chance))[:, None]).T @ inputs + _L2 * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return weights, mean, deviation


def _with_constant(features: Float64Array) -> Float64Array:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)
