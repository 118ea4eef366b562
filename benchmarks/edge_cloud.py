"""Protocol E beside simple strong models, which learn from the cloud's consented log, in the same replay.

Each of them ranks the whole catalogue for the same held-out events of the same people, without what the person had
chosen before, twice. Given the consented history alone it is a cloud without devices: the best of them, or Tandem's
own, is what devices must beat. Given all that the person has chosen before the event it is what a cloud could do to
which the private log is uploaded; then it knows of that person what the device knows, of others still only what they
consented to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from benchmarks.arms import ITEM_TO_ITEM
from benchmarks.baselines.recommender import ItemToItem
from benchmarks.settings import BaselineSettings
from benchmarks.task import Log, Requests
from federated.simulation.arms import SIMPLE
from federated.simulation.evaluation import evaluate
from federated.simulation.population import Population
from federated.simulation.user_log import CONSENTED
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.features.catalogue import Catalogue
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

OWN: Final = ("cloud_only", "cloud_device", "cloud_gated", "cloud_query", "full_loop", "loop_gated")
"""Tandem's arms that are held against each simple model with the same consented log."""

WITH_PRIVATE: Final = ("cloud_query", "full_loop", "loop_gated")
"""Those in which the private log reaches retrieval, held against each simple model that was given it as well."""

PAIRS: Final = (
    ("cloud_gated", "cloud_only"),
    ("loop_gated", "cloud_only"),
    *((own, SIMPLE[False].format(model)) for model in ITEM_TO_ITEM for own in OWN),
    *((own, SIMPLE[True].format(model)) for model in ITEM_TO_ITEM for own in WITH_PRIVATE),
)


def bench_edge_cloud(
    workspace: Workspace,
    *,
    seed: int,
    settings: FederatedSettings,
    progress: Progress,
    max_users: int | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Returns what `Evaluation.to_json` tells, simple models among the arms.

    Args:
      workspace: With device logs and a bundle.
      seed: As in `evaluate`; the simple models draw nothing.
      settings: How devices make the tower their own and what gates that.
      progress: A listener.
      max_users: At most so many people are replayed; all of them where it is None. Models learn from everybody.
      version: Of the bundle; the current one where it is None.

    Returns:
      Also `baseline_settings`, and `fit_seconds.<model>`.

    Raises:
      WorkspaceError: If there is no dataset, no bundle, or nobody has a held-out event.
      BundleError: If the bundle is altered.
    """
    registry = BundleRegistry(workspace)
    bundle = registry.open(version) if version else registry.current()
    catalogue = CloudModel.load(bundle).catalogue
    progress.stage("reading the consented log")
    log = read_consented(Population(workspace, catalogue), catalogue.num_items)
    baselines, models, seconds = BaselineSettings(), {}, {}
    progress.stage("fitting simple models to it", len(ITEM_TO_ITEM))
    for done, (name, build) in enumerate(ITEM_TO_ITEM.items(), start=1):
        started = time.perf_counter()
        models[name] = build(baselines)
        models[name].fit(log, seed)
        seconds[name] = round(time.perf_counter() - started, 2)
        progress.advance(done)
    evaluation = evaluate(
        workspace,
        seed=seed,
        settings=settings,
        progress=progress,
        max_users=max_users,
        version=bundle.manifest.version,
        rivals=SimpleModels(models, catalogue),
        pairs=PAIRS,
    )
    told = {"benchmark": "edge-cloud", "baseline_settings": asdict(baselines), "fit_seconds": seconds}
    return {**evaluation.to_json(), **told}


def read_consented(population: Population, num_items: int) -> Log:
    """Returns what everybody chose in the consented log, item `i` of the log being item index `i + 1`."""
    histories, times = [], []
    for log in population.logs(population.user_ids):
        rows = log.positive & (log.parts == CONSENTED)
        histories.append(log.item_indexes[rows] - 1)
        times.append(log.timestamps_ms[rows])
    offsets = np.cumsum([0, *map(len, histories)], dtype=np.int64)
    return Log(offsets, np.concatenate(histories).astype(np.int32), np.concatenate(times), num_items)


@dataclass(frozen=True)
class SimpleModels:
    """Fitted models, asked about one history at a time; see `federated.simulation.rivals.Rivals`."""

    models: Mapping[str, ItemToItem]
    catalogue: Catalogue

    def score(self, history: Int32Array) -> dict[str, Float32Array]:
        """Returns each model's scores, or what is popular where there is no history."""
        items = history[history > 0] - 1
        if len(items) == 0:
            return dict.fromkeys(self.models, self.catalogue.positives)
        ends, nothing = np.array([0, len(items)], np.int64), np.zeros(0, np.int32)
        log = Log(ends, items, np.zeros(len(items), np.int64), self.catalogue.num_items)
        request = Requests(np.zeros(1, np.int64), np.zeros(2, np.int64), nothing)
        return {name: self._ask(model, log, request) for name, model in self.models.items()}

    def _ask(self, model: ItemToItem, log: Log, request: Requests) -> Float32Array:
        model.fold_in(log)
        padding = np.full(1, -np.inf, np.float32)
        return np.concatenate([padding, model.score(request)[0]]).astype(np.float32)
