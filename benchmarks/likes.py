"""`tandem bench likes`: like against dislike (protocol P6), the cloud's scores beside what others made of the video."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.arms import ARMS, RANKER, RETRIEVAL
from benchmarks.baselines.boosted_likes import score_boosted
from benchmarks.baselines.likes import score_like_rate, score_liked_before, score_logistic
from benchmarks.comparison import ArmTimes, Comparison, Group, measure_group
from benchmarks.judgements import Judgements
from benchmarks.tandem import train_bundle
from recsys.cascade.cloud import CloudModel
from recsys.config.cloud import CloudSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from recsys.contracts.events import POSITIVE_ACTIONS
from recsys.metrics.ranking import auc
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

REFERENCE: Final = "liked_before"
_LIKE_TASK: Final = "like"

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


@dataclass(frozen=True)
class _Run:
    """One arm with one seed: `[num_tested]` float32 scores, what they cost, and the bundle."""

    scores: Float32Array
    fit_seconds: float
    score_seconds: float
    facts: dict[str, Any]


def compare_likes(
    task: Judgements, folder: Path, settings: CloudSettings, seeds: Sequence[int], progress: Progress
) -> Comparison:
    """Scores every tested row in every arm, and measures how well likes stand above dislikes.

    User AUC is a mean over people with both classes; videos that nobody liked in the known part are measured apart.

    Args:
      task: Protocol P6.
      folder: Keeps Tandem's workspace, so that a rerun does not train again.
      settings: Of Tandem's pipelines.
      seeds: Of Tandem's training; the first also resamples the intervals.
      progress: A listener.

    Raises:
      TandemError: As Tandem's pipelines raise it.
    """
    begin = time.perf_counter()
    runs: dict[str, list[_Run]] = {}
    for name, (label, score) in _BASELINES.items():
        progress.stage(f"P6: {label}")
        start = time.perf_counter()
        runs[name] = [_Run(score(task), 0.0, time.perf_counter() - start, {})]
    for seed in seeds:
        progress.stage(f"P6: Tandem, seed {seed}")
        for name, run in _run_tandem(task, folder, settings, seed, progress).items():
            runs.setdefault(name, []).append(run)
    unseen = task.known_likes[task.items[task.tested]] == 0
    groups = {"all": np.ones(len(unseen), np.bool_), "videos never liked before": unseen}
    groups = {name: rows for name, rows in groups.items() if name == "all" or _has_both(task, rows)}
    return Comparison(
        head=_describe(task, settings, seeds),
        references=(REFERENCE,),
        arms={name: _sum_up(name, of_arm) for name, of_arm in runs.items()},
        groups={name: _measure(task, runs, rows, seeds[0]) for name, rows in groups.items()},
        seconds=time.perf_counter() - begin,
    )


def _run_tandem(
    task: Judgements, folder: Path, settings: CloudSettings, seed: int, progress: Progress
) -> dict[str, _Run]:
    """What Tandem says of each person's tested videos, from what is known of the person."""
    workspace = Workspace(folder / f"tandem-{task.split.fingerprint}")
    bundle, seconds = train_bundle(task, workspace, settings, seed, progress)
    cloud, start = CloudModel.load(bundle), time.perf_counter()
    indexes = cloud.catalogue.index_of(task.item_ids)[task.items[task.tested]]
    users, histories = task.users[task.tested], _known_histories(task, cloud)
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
        scores[2, rows] = judged.get(_LIKE_TASK, judged["score"])[places]
    facts = {"bundle_version": bundle.manifest.version, "metrics": dict(bundle.manifest.metrics)}
    asked = time.perf_counter() - start
    return {name: _Run(scores[row], seconds, asked, facts) for row, name in enumerate(_TANDEM)}


def _known_histories(task: Judgements, cloud: CloudModel) -> Mapping[str, Int32Array]:
    """Positive items of each person outside the test, `[num]` int32, oldest first; one that follows itself once."""
    positive = np.isin(task.dataset.events.column("action").to_numpy(), [action.value for action in POSITIVE_ACTIONS])
    kept = task.dataset.events.filter(positive & ~task.split.mask("test"))
    kept = kept.sort_by([(name, "ascending") for name in ("user_id", "timestamp_ms", "event_id")])
    users, items = kept.column("user_id").to_numpy(), cloud.catalogue.index_of(kept.column("item_id").to_pylist())
    new = np.ones(len(items), np.bool_)
    new[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    users, items = users[new], items[new]
    first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.zeros(0, np.int64)
    return dict(zip(users[first].tolist(), np.split(items, first[1:]), strict=True)) if len(users) else {}


def _measure(task: Judgements, runs: Mapping[str, Sequence[_Run]], rows: BoolArray, seed: int) -> Group:
    users, liked = task.users[task.tested][rows], task.liked[task.tested][rows]
    values = {
        name: [{"user_auc": _user_aucs(users, run.scores[rows], liked)} for run in of_arm]
        for name, of_arm in runs.items()
    }
    group = measure_group(values, (REFERENCE,), seed)
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


def _sum_up(name: str, runs: Sequence[_Run]) -> ArmTimes:
    label = _BASELINES[name][0] if name in _BASELINES else _TANDEM[name]
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
