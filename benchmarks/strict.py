"""Strict federation beside models that know every history, under one protocol.

Both learn from the same log and answer the same requests. The strict arms are what devices make of the tables that the
server made of secure sums; of each device that takes part nothing else leaves it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.arms import ARMS
from benchmarks.comparison import ArmTimes, Comparison, Group
from benchmarks.evaluation import Score, measure, rank_targets
from benchmarks.task import Requests, Task
from federated.device.retrieval import PrivateRetriever, SharedTables
from recsys.config.federated import StrictSettings
from recsys.contracts.arrays import Float32Array, Int32Array, Int64Array
from recsys.metrics.intervals import compare
from recsys.progress import Progress

if TYPE_CHECKING:
    from federated.simulation.strict.federation import StrictModel

CENTRAL: Final = ("transitions", "blend")
STRICT: Final = {"strict_transitions": "transitions", "strict_blend": "blend"}
"""Strict arm to the one that it is without federation."""

_PARTS: Final = {"strict_transitions": ("items", "transitions"), "strict_blend": ("items", "transitions", "pairs")}


def bench_strict(
    task: Task, folder: Path, settings: StrictSettings, *, dropout: float, seed: int, progress: Progress
) -> dict[str, Any]:
    """Returns figures, differences and costs, JSON-ready (`Comparison.to_json`, and `federation`).

    Args:
      task: Of a protocol; every user is a device.
      folder: Holds what devices have to add meanwhile.
      settings: Of strict federation.
      dropout: How likely a device drops out before its upload; it is served all the same.
      seed: Of who drops out, and of the resampling.
      progress: A listener.

    Returns:
      In `federation`: `num_devices`, `num_uploads`, `rounds`, `seconds`, `sums.<part>` (`num_cells` of the vector,
      `cells_per_device` that were not 0, `bits`, `upload_bytes`, `seconds`, `equals_plain_sum`), and for each strict
      arm `costs.<arm>.upload_bytes` and `download_bytes`, of one device.

    Raises:
      FederationError: If the worker does not start or dies, or nobody is left.
      WorkspaceError: If the disk is full or refuses.
    """
    from federated.simulation.cohort import draw_each
    from federated.simulation.strict.federation import federate

    began = time.perf_counter()
    values, times = {}, {}
    for name in CENTRAL:
        progress.stage(f"{task.protocol}: {ARMS[name].label}")
        values[name], times[name] = _run_central(task, name, seed)
    users = {user_id: user for user, user_id in enumerate(task.user_ids)}
    remaining = draw_each(task.user_ids, 1.0 - dropout, seed, round_number=1)
    histories = [task.log.history(users[user_id]) for user_id in remaining]
    started = time.perf_counter()
    try:
        model = federate(histories, task.log.num_items, folder, settings, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.perf_counter() - started
    progress.stage("asking devices")
    for name, score in _strict_scores(task, model.tables, settings).items():
        values[name], times[name] = _judge(task, score, f"{ARMS[STRICT[name]].label}, secure sums", seconds)
    comparison = Comparison(
        _describe(task, settings, dropout, seed), (), times, {"all": _group(values, seed)}, time.perf_counter() - began
    )
    federation = _account(model, histories, task, settings, seconds)
    return {**comparison.to_json(), "benchmark": "strict", "federation": federation}


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


def _strict_scores(task: Task, tables: SharedTables, settings: StrictSettings) -> dict[str, Score]:
    """Each device for itself: it knows its own history and the tables."""
    retriever = PrivateRetriever(tables, settings)

    def ask(one: Callable[[Int32Array], Float32Array]) -> Score:
        def score(requests: Requests) -> Float32Array:
            return np.stack([one(task.log.history(user)) for user in requests.users.tolist()])

        return score

    return {"strict_transitions": ask(retriever.follow), "strict_blend": ask(retriever.blend)}


def _group(values: Mapping[str, Mapping[str, Any]], seed: int) -> Group:
    """Each strict arm against what it is without federation, and all against the blend."""
    pairs = [*STRICT.items(), *((name, "blend") for name in ("transitions", "strict_transitions"))]
    arms, differences = compare(values, pairs, seed)
    means = {name: {metric: [float(array.mean())] for metric, array in row.items()} for name, row in values.items()}
    return Group(len(next(iter(values["blend"].values()))), arms, differences, means)


def _account(
    model: StrictModel, histories: list[Int32Array], task: Task, settings: StrictSettings, seconds: float
) -> dict[str, Any]:
    """What it cost, and whether each sum is the plain one of the same devices, bit for bit."""
    from federated.simulation.strict.federation import PARTS

    sums = {}
    for name, count in PARTS.items():
        held, plain = model.sums[name], _add_plainly(count, histories, task.log.num_items, settings)
        sums[name] = {
            "num_cells": len(held.total),
            "cells_per_device": held.num_cells / held.num_devices,
            "bits": held.bits,
            "upload_bytes": held.upload_bytes,
            "seconds": round(held.seconds, 2),
            "equals_plain_sum": bool(np.array_equal(held.total, plain)),
        }
    tables = model.tables
    downloads = {"strict_transitions": tables.popularity.nbytes + tables.follows.size_bytes}
    tastes = tables.recent_taste.size_bytes + tables.taste.size_bytes
    downloads["strict_blend"] = downloads["strict_transitions"] + tastes
    costs = {
        arm: {"upload_bytes": sum(sums[part]["upload_bytes"] for part in parts), "download_bytes": downloads[arm]}
        for arm, parts in _PARTS.items()
    }
    counts = {"num_devices": task.log.num_users, "num_uploads": len(histories), "rounds": 1}
    return {**counts, "seconds": round(seconds, 2), "sums": sums, "costs": costs}


def _add_plainly(
    count: Callable[..., Any], histories: list[Int32Array], num_items: int, settings: StrictSettings
) -> Int64Array:
    total = np.zeros(count(histories[0], num_items, settings).size, np.int64)
    for history in histories:
        contribution = count(history, num_items, settings)
        total[contribution.cells] += contribution.values
    return total


def _describe(task: Task, settings: StrictSettings, dropout: float, seed: int) -> dict[str, Any]:
    candidates = task.requests.candidates
    return {
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
        "num_candidates": None if candidates is None else candidates.shape[1],
        "notes": list(task.notes),
        "seeds": [seed],
        "dropout": dropout,
        "baseline_settings": asdict(task.settings),
        "strict_settings": settings.model_dump(mode="json"),
    }
