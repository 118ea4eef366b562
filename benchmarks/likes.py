"""`tandem bench likes`: like against dislike (protocol P6), the cloud's scores beside what others made of the video."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.arms import ARMS, RANKER, RETRIEVAL
from benchmarks.baselines.boosted_likes import score_boosted
from benchmarks.baselines.likes import score_like_rate, score_liked_before, score_logistic
from benchmarks.comparison import ArmTimes, Comparison, Group, measure_group
from benchmarks.device_likes import DEVICE, LABELS, WITHOUT_PRIVATE, run_device
from benchmarks.histories import known_histories, score_likes
from benchmarks.judgements import Judgements, Run
from benchmarks.tandem import train_bundle
from recsys.cascade.cloud import CloudModel
from recsys.config.cloud import CloudSettings
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array
from recsys.metrics.ranking import auc
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

REFERENCE: Final = "liked_before"

_BASELINES: Final[dict[str, tuple[str, Callable[[Judgements], Float32Array]]]] = {
    REFERENCE: ("liked before by anybody", score_liked_before),
    "like_rate": ("like rate of the video", score_like_rate),
    "logistic": ("logistic regression on counts", score_logistic),
    "boosted": ("gradient boosting on counts and context", score_boosted),
}


_TANDEM: Final = {
    RETRIEVAL: ARMS[RETRIEVAL].label,
    RANKER: ARMS[RANKER].label,
    "tandem_like": "Tandem ranker, chance of a like",
}
"""The last is the ranker's own task, where it was trained for it, and its order elsewhere."""


def compare_likes(
    task: Judgements,
    folder: Path,
    settings: CloudSettings,
    seeds: Sequence[int],
    progress: Progress,
    device: FederatedSettings | None = None,
) -> Comparison:
    """Scores every tested row in every arm, and measures how well likes stand above dislikes.

    User AUC is a mean over people with both classes; videos that nobody liked in the known part are measured apart.

    Args:
      task: Protocol P6.
      folder: Keeps Tandem's workspace, so that a rerun does not train again.
      settings: Of Tandem's pipelines.
      seeds: Of Tandem's training; the first also resamples the intervals.
      progress: A listener.
      device: Of the device and its rounds, for five arms more (`device_likes`); none where it is None.

    Raises:
      TandemError: As Tandem's pipelines and rounds raise it.
    """
    begin = time.perf_counter()
    runs: dict[str, list[Run]] = {}
    for name, (label, score) in _BASELINES.items():
        progress.stage(f"P6: {label}")
        start = time.perf_counter()
        runs[name] = [Run(score(task), 0.0, time.perf_counter() - start, {})]
    for seed in seeds:
        progress.stage(f"P6: Tandem, seed {seed}")
        found = _run_tandem(task, folder, settings, seed, progress)
        if device is not None:
            progress.stage(f"P6: the device, seed {seed}")
            found |= run_device(task, folder, settings, device, seed, progress)
        for name, run in found.items():
            runs.setdefault(name, []).append(run)
    unseen = task.known_likes[task.items[task.tested]] == 0
    groups = {"all": np.ones(len(unseen), np.bool_), "videos never liked before": unseen}
    groups = {name: rows for name, rows in groups.items() if name == "all" or _has_both(task, rows)}
    return Comparison(
        head=_describe(task, settings, seeds)
        | ({"federated_settings": device.model_dump(mode="json")} if device else {}),
        references=(REFERENCE,),
        arms={name: _sum_up(name, of_arm) for name, of_arm in runs.items()},
        groups={name: _measure(task, runs, rows, seeds[0]) for name, rows in groups.items()},
        seconds=time.perf_counter() - begin,
    )


def _run_tandem(
    task: Judgements, folder: Path, settings: CloudSettings, seed: int, progress: Progress
) -> dict[str, Run]:
    """What Tandem says of each person's tested videos, from what is known of the person."""
    workspace = Workspace(folder / f"tandem-{task.split.fingerprint}")
    bundle, seconds = train_bundle(task, workspace, settings, seed, progress)
    cloud, start = CloudModel.load(bundle), time.perf_counter()
    indexes = cloud.catalogue.index_of(task.item_ids)[task.items[task.tested]]
    users, histories = task.users[task.tested], known_histories(task, cloud)
    scores = np.zeros((3, len(users)), np.float32)
    for user in np.unique(users):
        rows = np.flatnonzero(users == user)
        videos, places = np.unique(indexes[rows], return_inverse=True)
        history = histories.get(task.user_ids[user], np.zeros(0, np.int32))
        query = cloud.encode(history)
        retrieved = cloud.vectors[videos] @ query
        scores[0, rows] = retrieved[places]
        judged = cloud.judge(query, history, videos.astype(np.int32), retrieved)
        scores[1, rows] = judged["score"][places]
        scores[2, rows] = score_likes(judged)[places]
    facts = {"bundle_version": bundle.manifest.version, "metrics": dict(bundle.manifest.metrics)}
    asked = time.perf_counter() - start
    return {name: Run(scores[row], seconds, asked, facts) for row, name in enumerate(_TANDEM)}


def _measure(task: Judgements, runs: Mapping[str, Sequence[Run]], rows: BoolArray, seed: int) -> Group:
    users, liked = task.users[task.tested][rows], task.liked[task.tested][rows]
    values = {
        name: [{"user_auc": _user_aucs(users, run.scores[rows], liked)} for run in of_arm]
        for name, of_arm in runs.items()
    }
    group = measure_group(values, (REFERENCE,), seed)
    if DEVICE in values:
        beside = {name: values[name] for name in LABELS}
        group.differences.update(measure_group(beside, (WITHOUT_PRIVATE,), seed).differences)
    counts = np.unique(users, return_counts=True)[1]
    for name, of_arm in runs.items():
        own = values[name][0]["user_auc"]
        judged = ~np.isnan(own)
        pooled = auc(of_arm[0].scores[rows], liked)
        group.extras[name] = {
            "gauc": float(np.average(own[judged], weights=counts[judged])),
            "pooled_auc": pooled,
            "num_users_skipped": int((~judged).sum()),
        }
    return group


def _has_both(task: Judgements, rows: BoolArray) -> bool:
    """Whether anybody has a like and a dislike among some tested rows."""
    users, liked = task.users[task.tested][rows], task.liked[task.tested][rows]
    return bool(np.intersect1d(users[liked], users[~liked]).size)


def _user_aucs(users: np.ndarray, scores: Float32Array, liked: BoolArray) -> Float64Array:
    """The AUC of each person in the order of their numbers, NaN where a class is absent."""
    values = [auc(scores[users == user], liked[users == user]) for user in np.unique(users)]
    return np.array([np.nan if value is None else value for value in values])


def _sum_up(name: str, runs: Sequence[Run]) -> ArmTimes:
    label = _BASELINES[name][0] if name in _BASELINES else (_TANDEM | LABELS)[name]
    return ArmTimes(
        label=label,
        fit_seconds=float(np.mean([run.fit_seconds for run in runs])),
        score_seconds=float(np.mean([run.score_seconds for run in runs])),
        runs=[run.facts for run in runs],
    )


def _describe(task: Judgements, settings: CloudSettings, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "protocol": task.protocol,
        "title": task.title,
        "dataset": task.dataset.name,
        "split": task.split.name,
        "split_fingerprint": task.split.fingerprint,
        "task_fingerprint": task.split.fingerprint,
        "num_users": len(task.user_ids),
        "num_items": len(task.item_ids),
        "num_events": int((~task.split.mask("test")).sum()),
        "num_tested": int(task.tested.sum()),
        "share_liked": float(task.liked[task.tested].mean()),
        "notes": list(task.dataset.notes),
        "seeds": list(seeds),
        "cloud_settings": settings.model_dump(mode="json"),
    }
