"""The int8 query tower beside the float one: Recall@100 of held-out events, bytes, milliseconds.

Protocol E's held-out events, each with all of the person's earlier positives as history; the whole catalogue of the
event's surface is ranked exactly. On the feed what the person had already chosen is not ranked, and no event of such an
item counts; on the live surface streamers are watched again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.heldout import HeldoutEvent, heldout_events
from federated.simulation.population import Population
from pipelines.training.requests import target_ranks
from recsys.cascade.cloud import CloudModel
from recsys.cascade.rerank import QueryEncoder
from recsys.contracts.arrays import Float32Array
from recsys.contracts.bundle import QUERY_TOWER_FILE, QUERY_TOWER_INT8_FILE
from recsys.errors import WorkspaceError
from recsys.metrics.intervals import Interval, compare
from recsys.metrics.ranking import hit_at, ndcg_at
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

TOWERS: Final = {"float": QUERY_TOWER_FILE, "int8": QUERY_TOWER_INT8_FILE}
METRICS: Final = {"recall_at_100": (hit_at, 100), "ndcg_at_10": (ndcg_at, 10)}
TIMED_CALLS: Final = 500


def bench_query_tower(
    workspace: Workspace, *, seed: int, progress: Progress, max_users: int | None = None, version: str | None = None
) -> dict[str, Any]:
    """Returns quality, size and time of both towers of a bundle, JSON-ready.

    Args:
      workspace: With device logs and a bundle.
      seed: Of the draw of people and of the bootstrap.
      progress: Told after each person.
      max_users: At most so many people; all of them where it is None.
      version: Of the bundle; the current one where it is None.

    Returns:
      `towers.<name>`: `size_bytes`, `median_ms`, `p95_ms` (one thread), and `{mean, low, high}` over people of each
      metric; `differences.int8-float` likewise, paired by person; `recall_points_lost`.

    Raises:
      WorkspaceError: If there is no dataset, no bundle, or no held-out event that counts.
      BundleError: If the bundle has no int8 tower (it was published by an earlier version), or is altered.
    """
    registry = BundleRegistry(workspace)
    bundle = registry.open(version) if version else registry.current()
    cloud = CloudModel.load(bundle)
    comparison = _Comparison(cloud, {name: QueryEncoder(bundle.read_bytes(file)) for name, file in TOWERS.items()})
    population = Population(workspace, cloud.catalogue)
    user_ids = population.in_shard_order(population.sample(max_users, seed))
    progress.stage("encoding held-out histories with both towers", len(user_ids))
    for done, log in enumerate(population.logs(user_ids), start=1):
        comparison.add(list(heldout_events(log, cloud.catalogue)))
        progress.advance(done)
    if not comparison.num_events:
        raise WorkspaceError(
            f"Expected held-out events in {workspace.devices}, got none. Ingest a dataset with longer histories."
        )
    manifest = bundle.manifest
    result = comparison.summarise(seed)
    for name, file in TOWERS.items():
        result["towers"][name]["size_bytes"] = manifest.files[file].size_bytes
    return {"bundle_version": manifest.version, "dataset": manifest.dataset, "seed": seed, **result}


@dataclass
class _Comparison:
    """What the towers came to, person by person.

    Attributes:
      hits: tower to metric to one mean per person.
      timed: histories on which the towers are timed, `[num, dim]` float32 each.
    """

    cloud: CloudModel
    encoders: Mapping[str, QueryEncoder]
    hits: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    timed: list[Float32Array] = field(default_factory=list)
    num_events: int = 0

    def add(self, events: Sequence[HeldoutEvent]) -> None:
        """Ranks one person's events by the query of each tower."""
        if not events:
            return
        histories = [self.cloud.vectors[event.history] for event in events]
        for name, encoder in self.encoders.items():
            ranks = np.array(
                [self._rank(event, encoder.encode(past)) for event, past in zip(events, histories, strict=True)],
                np.int32,
            )
            means = self.hits.setdefault(name, {metric: [] for metric in METRICS})
            for metric, (gain, count) in METRICS.items():
                means[metric].append(float(gain(ranks, count).mean()))
        self.timed += histories[: TIMED_CALLS - len(self.timed)]
        self.num_events += len(events)

    def summarise(self, seed: int) -> dict[str, Any]:
        """Returns means, differences and times."""
        arms = {
            name: {metric: np.asarray(users) for metric, users in metrics.items()}
            for name, metrics in self.hits.items()
        }
        means, differences = compare(arms, [("int8", "float")], seed)
        times = _time(self.encoders, self.timed)
        return {
            "num_users": len(arms["float"]["recall_at_100"]),
            "num_events": self.num_events,
            "towers": {name: {**times[name], **_to_json(means[name])} for name in arms},
            "differences": {pair: _to_json(metrics) for pair, metrics in differences.items()},
            "recall_points_lost": -100.0 * differences["int8-float"]["recall_at_100"].mean,
        }

    def _rank(self, event: HeldoutEvent, query: Float32Array) -> int:
        scores = self.cloud.vectors @ query
        scores[~event.allowed(self.cloud.catalogue)] = -np.inf
        return int(target_ranks(scores[None], np.array([event.target], np.int32))[0])


def _time(encoders: Mapping[str, QueryEncoder], histories: Sequence[Float32Array]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of one call in ms, the towers taking turns, so that a busy moment hits all."""
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for history in histories:
        for name, encoder in encoders.items():
            start = time.perf_counter()
            encoder.encode(history)
            seconds[name].append(time.perf_counter() - start)
    return {
        name: {"median_ms": 1e3 * float(np.median(taken)), "p95_ms": 1e3 * float(np.quantile(taken, 0.95))}
        for name, taken in seconds.items()
    }


def _to_json(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {metric: interval.to_json() for metric, interval in metrics.items()}
