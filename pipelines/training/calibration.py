"""Turns outputs into log-odds of what was seen to happen.

Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods, Platt, 1999.
Deviation: instead of smoothed targets, slope and offset are drawn to 1 and 0, so that few rows change little.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.contracts.arrays import BoolArray, Float64Array

_PENALTY: Final = 1.0
_STEPS: Final = 50
_SMALLEST_SLOPE: Final = 0.05
"""A slope of 0 or less would turn the order round: outputs that say nothing keep their order and become faint."""


def fit_calibration(outputs: Float64Array, labels: BoolArray) -> tuple[float, float]:
    """Returns slope and offset: `slope * output + offset` is the log-odds of a label.

    Args:
      outputs: `[num_rows]` float64.
      labels: `[num_rows]` bool.
    """
    inputs = np.stack([outputs, np.ones(len(outputs))], axis=1)
    weights = start = np.array([1.0, 0.0])
    value = _loss(weights, inputs, labels)
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(inputs @ weights, -500.0, 500.0)))
        gradient = inputs.T @ (chance - labels) + _PENALTY * (weights - start)
        curvature = (inputs * (chance * (1.0 - chance))[:, None]).T @ inputs + _PENALTY * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while _loss(weights - size * step, inputs, labels) > value and size > 1e-6:
            size /= 2  # Newton's step may overshoot where nearly all rows are certain
        weights = weights - size * step
        value = _loss(weights, inputs, labels)
    slope, offset = weights.tolist()
    return max(slope, _SMALLEST_SLOPE), offset


def _loss(weights: Float64Array, inputs: Float64Array, labels: BoolArray) -> float:
    log_odds = inputs @ weights
    entropy = np.logaddexp(0.0, log_odds) - labels * log_odds
    return float(entropy.sum() + 0.5 * _PENALTY * ((weights - [1.0, 0.0]) ** 2).sum())
