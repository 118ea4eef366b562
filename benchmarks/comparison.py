"""What a comparison of arms under one protocol comes to: figures with intervals, differences, seeds, times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.arms import RANKER, RETRIEVAL
from recsys.contracts.arrays import Float64Array
from recsys.metrics.intervals import Interval, compare

Figures = dict[str, dict[str, Interval]]
"""Arm (or difference) to metric to interval."""

SeedValues = Mapping[str, Sequence[Mapping[str, Float64Array]]]
"""Arm to one mapping a seed, metric to `[num_people]` float64; NaN where somebody has no value."""


@dataclass(frozen=True)
class Group:
    """Figures of some people.

    Attributes:
      num_requests: How many they are.
      arms: Means over people, of the mean over seeds, with intervals.
      differences: "arm-reference", paired, and the ranker against retrieval alone.
      seeds: Arm to metric to the mean of each seed; arms that draw nothing have one.
      extras: Arm to further figures that have no interval, of the first seed.
    """

    num_requests: int
    arms: Figures
    differences: Figures
    seeds: dict[str, dict[str, list[float]]]
    extras: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as one JSON-ready object."""
        return {
            "num_requests": self.num_requests,
            "arms": _nested_json(self.arms),
            "differences": _nested_json(self.differences),
            "seeds": {
                arm: {metric: {"values": values, "spread": _spread(values)} for metric, values in metrics.items()}
                for arm, metrics in self.seeds.items()
            },
            "extras": self.extras,
        }


@dataclass(frozen=True)
class ArmTimes:
    """What an arm cost, mean over seeds, and what is worth keeping of each run.

    Attributes:
      label: For people.
      fit_seconds: To learn.
      score_seconds: To answer all requests.
      runs: One a seed, such as the bundle and its own metrics.
    """

    label: str
    fit_seconds: float
    score_seconds: float
    runs: list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """The result of one protocol.

    Attributes:
      head: What was asked, JSON-ready: at least `protocol`, `title`, `split_fingerprint`, `task_fingerprint`,
        `num_users`, `num_items`, `num_events`, `split`, `seeds` and `notes`.
      references: See `benchmarks.task.Task`.
      arms: By name, in the order of the table.
      groups: By name; one group "all" where the protocol has none.
      seconds: Of this run; arms that were kept cost nothing.
    """

    head: dict[str, Any]
    references: tuple[str, ...]
    arms: dict[str, ArmTimes]
    groups: dict[str, Group]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the result as one JSON-ready object."""
        return {
            "benchmark": "cloud",
            **self.head,
            "arms": {name: dict(vars(arm)) for name, arm in self.arms.items()},
            "groups": {name: group.to_json() for name, group in self.groups.items()},
            "seconds": round(self.seconds, 2),
        }


def measure_group(values: SeedValues, references: Sequence[str], seed: int) -> Group:
    """Returns the figures of some people.

    Args:
      values: Of these people, the same in the same order in every arm.
      references: See `benchmarks.task.Task`.
      seed: Of the resampling.

    Raises:
      ContractError: If nobody has a value.
    """
    means = {
        arm: {metric: np.mean([of_seed[metric] for of_seed in of_arm], axis=0) for metric in of_arm[0]}
        for arm, of_arm in values.items()
    }
    arms, differences = compare(means, _pair(means, references), seed)
    seeds = {
        arm: {metric: [float(np.nanmean(of_seed[metric])) for of_seed in of_arm] for metric in of_arm[0]}
        for arm, of_arm in values.items()
    }
    num_requests = len(next(iter(next(iter(means.values())).values())))
    return Group(num_requests, arms, differences, seeds)


def _pair(arms: Iterable[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """Every arm against the first reference, Tandem's against the others, the ranker against retrieval alone."""
    present = list(arms)
    tandem = [arm for arm in (RETRIEVAL, RANKER) if arm in present]
    pairs = [(arm, references[0]) for arm in present if arm != references[0] and references[0] in present]
    pairs += [(arm, other) for other in references[1:] if other in present for arm in tandem]
    return pairs + [(RANKER, RETRIEVAL)] * (len(tandem) == 2)


def _spread(values: Sequence[float]) -> float | None:
    """The standard deviation between seeds; None of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _nested_json(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {metric: interval.to_json() for metric, interval in row.items()} for name, row in figures.items()}
