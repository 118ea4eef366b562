"""Means over users with bootstrap intervals.

The unit is the user: a person with a thousand events counts as much as one with ten, and resampling users (not
events) keeps the dependence of one person's events inside the interval (Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993, percentile interval).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from recsys.contracts.arrays import Float64Array
from recsys.errors import ContractError

NUM_RESAMPLES = 1_000
_CHUNK = 100


@dataclass(frozen=True)
class Interval:
    """A mean over users and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, float]:
        """Returns the three figures by name."""
        return asdict(self)


def bootstrap_mean(values: Float64Array, seed: int) -> Interval:
    """Returns the mean of `[num_users]` float64 values and its interval; values that are NaN are left out.

    Two calls with the same seed and the same number of users resample the same users.

    Raises:
      ContractError: If no value is left.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise ContractError("Expected the values of at least one user, got none.")
    rng = np.random.default_rng(seed)
    means = [
        values[rng.integers(0, len(values), (_CHUNK, len(values)))].mean(axis=1) for _ in range(NUM_RESAMPLES // _CHUNK)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def compare(
    arms: Mapping[str, Mapping[str, Float64Array]], pairs: list[tuple[str, str]], seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """Returns the interval of each arm's metrics, and of the paired differences "a-b" per user.

    Args:
      arms: Arm to metric to `[num_users]` float64, the same users in the same order; NaN where a user has no value.
      pairs: Which arms to subtract from each other.
      seed: Of the resampling.

    Raises:
      ContractError: If a metric has no value for any user.
    """
    means = {
        arm: {metric: bootstrap_mean(values, seed) for metric, values in metrics.items()}
        for arm, metrics in arms.items()
    }
    differences = {
        f"{left}-{right}": {
            metric: bootstrap_mean(arms[left][metric] - arms[right][metric], seed)
            for metric in arms[left]
            if metric in arms[right]
        }
        for left, right in pairs
    }
    return means, differences
