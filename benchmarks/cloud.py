"""`tandem bench cloud`: simple strong models and Tandem's own, side by side under one protocol."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import ARMS, RANKER, RETRIEVAL
from benchmarks.evaluation import measure
from benchmarks.run import ArmRun, Bench
from benchmarks.task import Task
from recsys.config import CloudSettings
from recsys.contracts.arrays import BoolArray, Float64Array
from recsys.metrics.intervals import Interval, compare
from recsys.progress import Progress

Figures = dict[str, dict[str, Interval]]
"""Arm (or difference) to metric to interval."""


@dataclass(frozen=True)
class Group:
    """Figures of some requests.

    Attributes:
      num_requests: How many.
      arms: Means over requests, of the mean over seeds, with intervals.
      differences: "arm-reference", paired, and the ranker against retrieval alone.
      seeds: Arm to metric to the mean of each seed; arms that draw nothing have one.
    """

    num_requests: int
    arms: Figures
    differences: Figures
    seeds: dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Comparison:
    """The result of one protocol.

    Attributes:
      task: What was asked.
      settings: Of Tandem's pipelines.
      seeds: Of the arms that draw.
      groups: By name; one group "all" where the protocol has none.
      runs: Arm to its runs, one a seed.
      seconds: Of this run; arms that were kept cost nothing.
    """

    task: Task
    settings: CloudSettings
    seeds: tuple[int, ...]
    groups: dict[str, Group]
    runs: dict[str, list[ArmRun]]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the result as one JSON-ready object."""
        task = self.task
        return {
            "benchmark": "cloud",
            "protocol": task.protocol,
            "title": task.title,
            "dataset": task.dataset.name,
            "split": task.split.name,
            "split_fingerprint": task.split.fingerprint,
            "task_fingerprint": task.fingerprint,
            "num_users": task.log.num_users,
            "num_items": task.log.num_items,
            "num_events": len(task.log.items),
            "num_requests": len(task.requests),
            "num_targets": len(task.requests.targets),
            "num_candidates": None if task.requests.candidates is None else task.requests.candidates.shape[1],
            "notes": list(task.notes),
            "seeds": list(self.seeds),
            "arms": {name: _describe_arm(name, runs) for name, runs in self.runs.items()},
            "groups": {name: _group_json(group) for name, group in self.groups.items()},
            "baseline_settings": asdict(task.settings),
            "cloud_settings": self.settings.model_dump(mode="json"),
            "seconds": round(self.seconds, 2),
        }


def compare_models(
    task: Task,
    folder: Path,
    arms: Sequence[str],
    settings: CloudSettings,
    seeds: Sequence[int],
    progress: Progress,
) -> Comparison:
    """Runs every arm on a task and measures them on the same requests.

    Args:
      task: Of a protocol.
      folder: Keeps what is finished.
      arms: Keys of `benchmarks.arms.ARMS`.
      settings: Of Tandem's pipelines.
      seeds: Arms that draw are run with each, the others with the first; the first also resamples the intervals.
      progress: A listener.

    Raises:
      TandemError: As Tandem's pipelines raise it.
    """
    begin = time.perf_counter()
    bench = Bench(task, folder, settings, progress)
    runs: dict[str, list[ArmRun]] = {}
    for name in arms:
        own_seeds = seeds if ARMS[name].is_random else seeds[:1]
        progress.stage(f"{task.protocol}: {ARMS[name].label}", len(own_seeds))
        for number, seed in enumerate(own_seeds, start=1):
            runs.setdefault(name, []).append(bench.run(name, seed))
            progress.advance(number)
    groups = task.groups or {"all": np.ones(len(task.requests), np.bool_)}
    values = {name: [measure(task.requests, run.ranks) for run in of_arm] for name, of_arm in runs.items()}
    figures = {name: _measure_group(values, rows, task.references, seeds[0]) for name, rows in groups.items()}
    return Comparison(task, settings, tuple(seeds), figures, runs, time.perf_counter() - begin)


def _measure_group(
    values: Mapping[str, Sequence[Mapping[str, Float64Array]]], rows: BoolArray, references: Sequence[str], seed: int
) -> Group:
    means = {
        arm: {metric: np.mean([of_seed[metric][rows] for of_seed in of_arm], axis=0) for metric in of_arm[0]}
        for arm, of_arm in values.items()
    }
    arms, differences = compare(means, _pair(means, references), seed)
    seeds = {
        arm: {metric: [float(of_seed[metric][rows].mean()) for of_seed in of_arm] for metric in of_arm[0]}
        for arm, of_arm in values.items()
    }
    return Group(int(rows.sum()), arms, differences, seeds)


def _pair(arms: Iterable[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """Every arm against the first reference, Tandem's against the others, the ranker against retrieval alone."""
    present = list(arms)
    tandem = [arm for arm in (RETRIEVAL, RANKER) if arm in present]
    pairs = [(arm, references[0]) for arm in present if arm != references[0] and references[0] in present]
    pairs += [(arm, other) for other in references[1:] if other in present for arm in tandem]
    return pairs + [(RANKER, RETRIEVAL)] * (len(tandem) == 2)


def _describe_arm(name: str, runs: Sequence[ArmRun]) -> dict[str, Any]:
    return {
        "label": ARMS[name].label,
        "fit_seconds": float(np.mean([run.fit_seconds for run in runs])),
        "score_seconds": float(np.mean([run.score_seconds for run in runs])),
        "runs": [dict(run.facts) for run in runs],
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "num_requests": group.num_requests,
        "arms": _nested_json(group.arms),
        "differences": _nested_json(group.differences),
        "seeds": {
            arm: {metric: {"values": values, "spread": _spread(values)} for metric, values in metrics.items()}
            for arm, metrics in group.seeds.items()
        },
    }


def _spread(values: Sequence[float]) -> float | None:
    """The standard deviation between seeds; None of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _nested_json(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {metric: interval.to_json() for metric, interval in row.items()} for name, row in figures.items()}
