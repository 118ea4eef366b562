"""Strict federation beside models that know every history, under one protocol.

Both learn from the same log and answer the same requests. The strict arms are what devices make of the tables that the
server made of secure sums; of each device that takes part nothing else leaves it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.arms import ARMS
from benchmarks.comparison import ArmTimes, Comparison, Group
from benchmarks.evaluation import Score, measure, rank_targets
from benchmarks.strict_tower import TOWER_PAIRS, TOWERS, Towers, add_tower, ask_devices, learn_on_top, tower_scores
from benchmarks.task import Task
from federated.device.retrieval import PrivateRetriever, SharedTables
from recsys.config.federated import StrictSettings, StrictTowerSettings
from recsys.contracts.arrays import Int32Array, Int64Array
from recsys.metrics.intervals import compare
from recsys.progress import Progress

if TYPE_CHECKING:
    from federated.simulation.strict.federation import StrictModel

CENTRAL: Final = ("transitions", "blend")
STRICT: Final = {"strict_transitions": "transitions", "strict_blend": "blend"}
"""Strict arm to the one that it is without federation."""

_PARTS: Final = {"strict_transitions": ("items", "transitions"), "strict_blend": ("items", "transitions", "pairs")}


def bench_strict(
    task: Task,
    folder: Path,
    settings: StrictSettings,
    *,
    dropout: float,
    seed: int,
    progress: Progress,
    tower: StrictTowerSettings | None = None,
) -> dict[str, Any]:
    """Returns figures, differences and costs, JSON-ready (`Comparison.to_json`, and `federation`).

    Args:
      task: Of a protocol; every user is a device.
      folder: Holds what devices have to add meanwhile.
      settings: Of strict federation.
      dropout: How likely a device drops out of each round before its upload; it is served all the same.
      seed: Of who drops out, and of the resampling.
      progress: A listener.
      tower: Of a sequence tower that rounds learn on top; None is without.

    Returns:
      In `federation`: `num_devices`, `num_kept` (items), `rounds`, `seconds`, `sums.<part>` (`num_uploads`, `num_cells`
      of the vector, `cells_per_device` that were not 0, `bits_per_cell`, `upload_bytes`, `seconds`,
      `equals_plain_sum`), and for each strict arm `costs.<arm>.upload_bytes` and `download_bytes`, of one device; with
      a tower also `tower` (`strict_tower.add_tower`).

    Raises:
      FederationError: If the worker does not start or dies, or nobody is left.
      WorkspaceError: If the disk is full or refuses.
    """
    from federated.simulation.strict.federation import federate

    began = time.perf_counter()
    values, times = {}, {}
    for name in CENTRAL:
        progress.stage(f"{task.protocol}: {ARMS[name].label}")
        values[name], times[name] = _run_central(task, name, seed)
    cohorts = _draw_cohorts(task, dropout, seed)
    started = time.perf_counter()
    try:
        model = federate(cohorts, task.log.num_items, folder, settings, progress)
        seconds = time.perf_counter() - started
        towers = None if tower is None else learn_on_top(model, cohorts[1], folder, settings, tower, seed, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    progress.stage("asking devices")
    for name, judged in _judge_strict(task, model.tables, towers, settings, seconds):
        values[name], times[name] = judged
    comparison = Comparison(
        _describe(task, settings, tower, dropout, seed),
        (),
        times,
        {"all": _group(values, seed)},
        time.perf_counter() - began,
    )
    federation = _account(model, cohorts, task, settings, seconds)
    if towers is not None:
        federation = add_tower(federation, towers, len(cohorts[1]))
    return {**comparison.to_json(), "benchmark": "strict", "federation": federation}


def _draw_cohorts(task: Task, dropout: float, seed: int) -> tuple[list[Int32Array], list[Int32Array]]:
    """Histories of the devices that stay for the first round, and of those among them that stay for the second."""
    from federated.simulation.cohort import draw_each

    users = {user_id: user for user, user_id in enumerate(task.user_ids)}
    first = draw_each(task.user_ids, 1.0 - dropout, seed, round_number=1)
    second = draw_each(first, 1.0 - dropout, seed, round_number=2)
    return [task.log.history(users[name]) for name in first], [task.log.history(users[name]) for name in second]


def _run_central(task: Task, name: str, seed: int) -> tuple[dict[str, Any], ArmTimes]:
    build = ARMS[name].build
    if build is None:
        raise TypeError(f"Expected a baseline, got {name}.")
    began = time.perf_counter()
    model = build(task.settings)
    model.fit(task.log, seed)
    return _judge(task, model.score, ARMS[name].label, time.perf_counter() - began)


def _judge(task: Task, score: Score, label: str, fit_seconds: float) -> tuple[dict[str, Any], ArmTimes]:
    began = time.perf_counter()
    values = measure(task.requests, rank_targets(score, task.log, task.requests))
    return values, ArmTimes(label, round(fit_seconds, 3), round(time.perf_counter() - began, 3), [{}])


def _judge_strict(
    task: Task, tables: SharedTables, towers: Towers | None, settings: StrictSettings, seconds: float
) -> Iterator[tuple[str, tuple[dict[str, Any], ArmTimes]]]:
    """Each strict arm by name."""
    for name, score in _strict_scores(task, tables, settings).items():
        yield name, _judge(task, score, f"{ARMS[STRICT[name]].label}, secure sums", seconds)
    if towers is not None:
        for name, score in tower_scores(task, tables, towers, settings).items():
            yield name, _judge(task, score, TOWERS[name], seconds + towers.learned.seconds)


def _strict_scores(task: Task, tables: SharedTables, settings: StrictSettings) -> dict[str, Score]:
    """Each device for itself: it knows its own history and the tables."""
    retriever = PrivateRetriever(tables, settings)
    return {
        "strict_transitions": ask_devices(task, retriever.follow),
        "strict_blend": ask_devices(task, retriever.blend),
    }


def _group(values: Mapping[str, Mapping[str, Any]], seed: int) -> Group:
    """Each strict arm against what it is without federation, and all against the blend."""
    pairs = [*STRICT.items(), *((name, "blend") for name in ("transitions", "strict_transitions"))]
    pairs += [pair for pair in TOWER_PAIRS if pair[0] in values]
    arms, differences = compare(values, pairs, seed)
    means = {name: {metric: [float(array.mean())] for metric, array in row.items()} for name, row in values.items()}
    return Group(len(next(iter(values["blend"].values()))), arms, differences, means)


def _account(
    model: StrictModel, cohorts: tuple[list[Int32Array], ...], task: Task, settings: StrictSettings, seconds: float
) -> dict[str, Any]:
    """What it cost, and whether each sum is the plain one of the same devices, bit for bit."""
    from federated.simulation.strict.federation import ITEMS, NUM_ROUNDS

    tables, everything, sums = model.tables, np.arange(task.log.num_items, dtype=np.int32), {}
    for name, held in model.sums.items():
        histories, kept = (cohorts[0], everything) if name == ITEMS else (cohorts[1], tables.kept)
        sums[name] = {
            "num_uploads": held.num_devices,
            "num_cells": len(held.total),
            "cells_per_device": held.num_cells / held.num_devices,
            "bits_per_cell": round(held.bits_per_cell, 2),
            "upload_bytes": held.upload_bytes,
            "seconds": round(held.seconds, 2),
            "equals_plain_sum": bool(np.array_equal(held.total, _add_plainly(name, histories, kept, settings))),
        }
    downloads = {"strict_transitions": tables.popularity.nbytes + tables.kept.nbytes + tables.follows.size_bytes}
    tastes = tables.recent_taste.size_bytes + tables.taste.size_bytes
    downloads["strict_blend"] = downloads["strict_transitions"] + tastes
    costs = {
        arm: {"upload_bytes": sum(sums[part]["upload_bytes"] for part in parts), "download_bytes": downloads[arm]}
        for arm, parts in _PARTS.items()
    }
    counts = {"num_devices": task.log.num_users, "num_kept": len(tables.kept), "rounds": NUM_ROUNDS}
    return {**counts, "seconds": round(seconds, 2), "sums": sums, "costs": costs}


def _add_plainly(name: str, histories: list[Int32Array], kept: Int32Array, settings: StrictSettings) -> Int64Array:
    from federated.simulation.strict.federation import contribute

    total = np.zeros(contribute(name, histories[0], kept, settings).size, np.int64)
    for history in histories:
        contribution = contribute(name, history, kept, settings)
        total[contribution.cells] += contribution.values
    return total


def _describe(
    task: Task, settings: StrictSettings, tower: StrictTowerSettings | None, dropout: float, seed: int
) -> dict[str, Any]:
    return {
        **task.describe(),
        "seeds": [seed],
        "dropout": dropout,
        "baseline_settings": asdict(task.settings),
        "strict_settings": settings.model_dump(mode="json"),
        "tower_settings": None if tower is None else tower.model_dump(mode="json"),
    }
