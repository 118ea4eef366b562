"""`tandem bench cloud`: simple strong models and Tandem's own, side by side under one protocol."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import ARMS
from benchmarks.comparison import ArmTimes, Comparison, SeedValues, measure_group
from benchmarks.evaluation import measure
from benchmarks.run import ArmRun, Bench
from benchmarks.task import Task
from recsys.config.cloud import CloudSettings
from recsys.contracts.arrays import BoolArray
from recsys.progress import Progress


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
    return Comparison(
        head=_describe(task, settings, seeds),
        references=task.references,
        arms={name: _sum_up(name, of_arm) for name, of_arm in runs.items()},
        groups={name: measure_group(_take(values, rows), task.references, seeds[0]) for name, rows in groups.items()},
        seconds=time.perf_counter() - begin,
    )


def _take(values: SeedValues, rows: BoolArray) -> SeedValues:
    return {
        arm: [{metric: array[rows] for metric, array in of_seed.items()} for of_seed in of_arm]
        for arm, of_arm in values.items()
    }


def _sum_up(name: str, runs: Sequence[ArmRun]) -> ArmTimes:
    return ArmTimes(
        label=ARMS[name].label,
        fit_seconds=float(np.mean([run.fit_seconds for run in runs])),
        score_seconds=float(np.mean([run.score_seconds for run in runs])),
        runs=[dict(run.facts) for run in runs],
    )


def _describe(task: Task, settings: CloudSettings, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        **task.describe(),
        "num_targets": len(task.requests.targets),
        "seeds": list(seeds),
        "baseline_settings": asdict(task.settings),
        "cloud_settings": settings.model_dump(mode="json"),
    }
