"""Recall of items that training never saw, beside random order and the popularity of their categories.

A seeded share of the items of each surface is hidden: their events leave the consented log, they stay in the catalogue.
Retrieval is trained on what is left, as `tandem train` does it. Then each held-out event (protocol E) on a hidden item
is a request, with all of the person's earlier positives as history, hidden items among them. Its item is ranked among
everything on its surface, and among the hidden items alone; ties are broken by item index. A surface with no more than
`RECALL_COUNT` hidden items is left out: there everybody finds everything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from benchmarks.cold.baselines import category_popularity, history_affinity
from benchmarks.cold.hiding import draw_hidden, mark_hidden, write_without
from benchmarks.heldout import HeldoutEvent, heldout_events
from federated.simulation.population import Population
from pipelines.training.examples import read_catalogue, read_sequences
from pipelines.training.requests import target_ranks
from recsys.config.cloud import CloudSettings
from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array
from recsys.errors import WorkspaceError
from recsys.features.catalogue import Catalogue
from recsys.features.history import pad_history
from recsys.metrics.intervals import Interval, compare
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

RECALL_COUNT: Final = 100
HIDDEN_COUNT: Final = 10
"""Among the hidden items alone, which are few, a shorter list tells more."""

MODEL: Final = "tandem"
BASELINES: Final = ("random", "category_popularity", "category_popularity_by_taste")
METRICS: Final = ("recall_at_100", "hidden_recall_at_10", "hidden_recall_at_100")


@dataclass(frozen=True)
class Trained:
    """Retrieval that never saw the hidden items.

    Attributes:
      vectors: `[num_items + 1, dim]` float32.
      queries: `[num_events, dim]` float32.
      owners: whose each event is.
      validation_ndcg_at_10: of the weights that were kept, on items that training saw.
    """

    catalogue: Catalogue
    vectors: Float32Array
    events: list[HeldoutEvent]
    owners: list[str]
    queries: Float32Array
    is_hidden: BoolArray
    validation_ndcg_at_10: float
    seconds: float


def bench_cold(
    workspace: Workspace, settings: CloudSettings, *, seed: int, progress: Progress, share: float = 0.1
) -> dict[str, Any]:
    """Returns the figures of the model and of each baseline, JSON-ready.

    Args:
      workspace: With a dataset; nothing of it is changed.
      settings: Of the stages prepare and train.
      seed: Of the hidden items, of training and of the bootstrap.
      progress: A listener.
      share: Of the items, hidden.

    Returns:
      `arms.<name>.<metric>` and `differences.tandem-<baseline>.<metric>`, each `{mean, low, high}` over people;
      `num_hidden`, `num_events`, and the median length of the vectors of seen and of hidden items.

    Raises:
      WorkspaceError: If there is no dataset, or no held-out event on a hidden item counts.
      TrainingError: If nothing is left to learn from, or the loss diverges.
    """
    card = workspace.read_card()
    hidden = draw_hidden(pq.read_table(workspace.items), share, seed)
    with tempfile.TemporaryDirectory(prefix="tandem-cold-") as folder:
        num_left_out = _prepare(workspace, hidden, Path(folder), settings, progress)
        trained = _train(workspace, hidden, Path(folder), settings, seed, progress)
    arms = _by_person(_judge(trained), trained.owners)
    means, differences = compare(arms, [(MODEL, baseline) for baseline in BASELINES], seed)
    norms = np.linalg.norm(trained.vectors, axis=1)
    return {
        "dataset": card.name,
        "split_fingerprint": card.split_fingerprint,
        "seed": seed,
        "share_hidden": share,
        "num_items": trained.catalogue.num_items,
        "num_hidden": len(hidden),
        "num_training_events_left_out": num_left_out,
        "num_users": len(arms[MODEL][METRICS[0]]),
        "num_events": len(trained.events),
        "arms": _to_json(means),
        "differences": _to_json(differences),
        "median_norm": {
            "seen": float(np.median(norms[trained.catalogue.trained_indexes > 0])),
            "hidden": float(np.median(norms[trained.is_hidden])),
        },
        "validation_ndcg_at_10": trained.validation_ndcg_at_10,
        "train_seconds": trained.seconds,
    }


def _prepare(workspace: Workspace, hidden: list[str], folder: Path, settings: CloudSettings, progress: Progress) -> int:
    """Writes examples of the log without the hidden items; returns how many events that left out."""
    progress.stage(f"preparing examples without {len(hidden)} hidden items")
    for name in ("events", "examples"):
        (folder / name).mkdir()
    num_left_out = write_without(workspace.events, hidden, folder / "events")
    from pipelines.logs import quiet_logs

    with quiet_logs():
        from pipelines.prepare.job import prepare

    prepare(folder / "events", workspace.items, folder / "examples", settings.prepare)
    return num_left_out


def _train(
    workspace: Workspace, hidden: list[str], folder: Path, settings: CloudSettings, seed: int, progress: Progress
) -> Trained:
    from pipelines.training.retrieval_stage import Encoder, build_retrieval, fit_retrieval

    sequences, catalogue = read_sequences(folder / "examples"), read_catalogue(folder / "examples")
    is_hidden = mark_hidden(catalogue, hidden)
    events, owners = _collect(workspace, catalogue, is_hidden)
    model = build_retrieval(catalogue, settings.retrieval, seed)
    report = fit_retrieval(model, sequences, catalogue, settings.retrieval, seed, progress)
    encoder = Encoder(model)
    vectors = encoder.embed(catalogue)
    length = settings.retrieval.history_length
    queries = encoder.encode(np.stack([pad_history(event.history, length) for event in events]), vectors)
    return Trained(catalogue, vectors, events, owners, queries, is_hidden, report.best_value, round(report.seconds, 3))


def _collect(workspace: Workspace, catalogue: Catalogue, is_hidden: BoolArray) -> tuple[list[HeldoutEvent], list[str]]:
    """The held-out events on hidden items of surfaces that have enough of them, and whose they are."""
    population = Population(workspace, catalogue)
    found = [
        (event, log.user_id)
        for log in population.logs(population.user_ids)
        for event in heldout_events(log, catalogue)
        if is_hidden[event.target] and (is_hidden & catalogue.on_surface(event.surface)).sum() > RECALL_COUNT
    ]
    if not found:
        raise WorkspaceError(
            f"Expected held-out events on hidden items of a surface with more than {RECALL_COUNT} of them, got none "
            f"among {int(is_hidden.sum())} hidden items. Hide a larger share, or take a dataset with more items."
        )
    return [event for event, _ in found], [owner for _, owner in found]


def _judge(trained: Trained) -> dict[str, dict[str, Float64Array]]:
    """Arm to metric to `[num_events]` float64."""
    popularity = category_popularity(trained.catalogue)
    values: dict[str, dict[str, list[float]]] = {arm: {metric: [] for metric in METRICS} for arm in (MODEL, *BASELINES)}
    for event, query in zip(trained.events, trained.queries, strict=True):
        allowed = event.allowed(trained.catalogue)
        among_hidden = allowed & trained.is_hidden
        scores = {
            MODEL: trained.vectors @ query,
            "category_popularity": popularity,
            "category_popularity_by_taste": popularity * history_affinity(trained.catalogue, event.history),
        }
        for arm, own in scores.items():
            rank, hidden_rank = (_rank(own, event.target, rows) for rows in (allowed, among_hidden))
            hits = (rank < RECALL_COUNT, hidden_rank < HIDDEN_COUNT, hidden_rank < RECALL_COUNT)
            for metric, hit in zip(METRICS, hits, strict=True):
                values[arm][metric].append(float(hit))
        sizes = (int(allowed.sum()), int(among_hidden.sum()), int(among_hidden.sum()))
        for metric, count, size in zip(METRICS, (RECALL_COUNT, HIDDEN_COUNT, RECALL_COUNT), sizes, strict=True):
            values["random"][metric].append(min(1.0, count / size))
    return {arm: {metric: np.asarray(hits) for metric, hits in metrics.items()} for arm, metrics in values.items()}


def _rank(scores: Float32Array, target: int, allowed: BoolArray) -> int:
    masked = np.where(allowed, scores, -np.inf).astype(np.float32)
    return int(target_ranks(masked[None], np.array([target], np.int32))[0])


def _by_person(
    events: Mapping[str, Mapping[str, Float64Array]], owners: Sequence[str]
) -> dict[str, dict[str, Float64Array]]:
    """Means over each person's events, people in the order of their ids."""
    _, person = np.unique(np.asarray(owners), return_inverse=True)
    counts = np.bincount(person)
    return {
        arm: {metric: np.bincount(person, weights=hits) / counts for metric, hits in metrics.items()}
        for arm, metrics in events.items()
    }


def _to_json(rows: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {metric: one.to_json() for metric, one in metrics.items()} for name, metrics in rows.items()}
