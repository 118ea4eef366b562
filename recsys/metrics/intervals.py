"""Means over users with bootstrap intervals.

The unit is the user: a person with a thousand events counts as much as one with ten, and resampling users (not
events) keeps the dependence of one person's events inside the interval (Efron and Tibshirani, "An Introduction to
the Bootstrap", 1993, percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    return _bootstrap(values, seed, lambda users: users.mean(axis=-1))


def bootstrap_lowest(values: Float64Array, share: float, seed: int) -> Interval:
    """Returns the mean of the lowest values of `[num_users]` float64, and its interval; NaN is left out.

    Args:
      values: One of each user.
      share: How many are the lowest, as a share of all; at least one.
      seed: Of the resampling.

    Raises:
      ContractError: If no value is left.
    """

    def mean_of_lowest(users: Float64Array) -> Float64Array:
        count = max(1, round(share * users.shape[-1]))
        lowest: Float64Array = np.partition(users, count - 1, axis=-1)[..., :count].mean(axis=-1)
        return lowest

    return _bootstrap(values, seed, mean_of_lowest)


def _bootstrap(values: Float64Array, seed: int, statistic: Callable[[Float64Array], Float64Array]) -> Interval:
    """Resamples users; `statistic` works along the last axis."""
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise ContractError("Expected the values of at least one user, got none.")
    rng = np.random.default_rng(seed)
    resampled = [
        statistic(values[rng.integers(0, len(values), (_CHUNK, len(values)))]) for _ in range(NUM_RESAMPLES // _CHUNK)
    ]
    low, high = np.quantile(np.concatenate(resampled), [0.025, 0.975])
    return Interval(float(statistic(values)), float(low), float(high))


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
