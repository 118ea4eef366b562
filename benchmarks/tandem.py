"""Tandem's own models under a protocol: the pipelines train on all but the test, the published bundle is judged.

Nothing here scores by another way than the service does: `CloudModel` encodes, searches and ranks.
"""

from __future__ import annotations

import json
from typing import Protocol

import numpy as np

from benchmarks.settings import PipelineSettings
from benchmarks.task import Log, Requests, Task
from data.dataset import Dataset
from data.split import Split
from pipelines.ingestion import ingest_divided
from pipelines.job import train
from recsys.cascade.cloud import CloudModel
from recsys.config.cloud import CloudSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.contracts.events import Surface
from recsys.progress import Progress
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace

NUM_CANDIDATES = 100
"""What the service retrieves and ranks at least, and what Recall@100 needs."""


class TrainedOn(Protocol):
    """What the pipelines need of a task."""

    @property
    def dataset(self) -> Dataset:
        """All of the data."""

    @property
    def split(self) -> Split:
        """Its parts are train, validation and test; the pipelines see the first two."""

    @property
    def pipeline(self) -> PipelineSettings:
        """See `benchmarks.task.Task`."""


def train_bundle(
    task: TrainedOn, workspace: Workspace, settings: CloudSettings, seed: int, progress: Progress
) -> tuple[Bundle, float]:
    """Ingests the task and trains on it, unless that was done; returns the bundle and the seconds that training took.

    Args:
      task: Its log becomes the consented log.
      workspace: Of this task alone.
      settings: Of the pipeline.
      seed: Of training.
      progress: A listener.

    Raises:
      TandemError: As ingest and train raise it.
    """
    ingest_divided(workspace, task.dataset, task.split.consent(), progress)
    bundle = train(workspace, adapt_settings(settings, task), seed, progress)
    report = workspace.reports / f"train-{bundle.manifest.version}.json"
    stages = json.loads(report.read_text(encoding="utf-8"))["stages"]
    return bundle, sum(stage["seconds"] for stage in stages)


def adapt_settings(settings: CloudSettings, task: TrainedOn) -> CloudSettings:
    """Returns the settings with what the protocol means for the pipelines, unless they set it themselves."""
    sections = {}
    for name, wanted in task.pipeline.items():
        own = getattr(settings, name)
        update = {key: value for key, value in wanted.items() if key not in own.model_fields_set}
        sections[name] = own.model_copy(update=update)
    return settings.model_copy(update=sections)


class TandemModel:
    """A published bundle as a recommender of the benchmark.

    Of the whole catalogue it shows what the index finds, with or without the ranker's order; of given candidates it
    scores each.
    """

    def __init__(self, cloud: CloudModel, task: Task, with_ranker: bool) -> None:
        """Lines up the numbers of items.

        Args:
          cloud: The bundle, loaded.
          task: Whose users ask.
          with_ranker: Whether the ranker orders what retrieval found.
        """
        self._cloud = cloud
        self._with_ranker = with_ranker
        self._log: Log = task.log
        self._index_of_item = cloud.catalogue.index_of(task.item_ids)
        self._now_ms = int(task.log.times_ms.max())

    def score(self, requests: Requests) -> Float32Array:
        """Returns `[num_requests, num_items]` float32; -inf for what is not proposed."""
        scores = np.full((len(requests), self._cloud.catalogue.num_items + 1), -np.inf, np.float32)
        for row, user in enumerate(requests.users.tolist()):
            history = self._known(self._log.history(user))
            query = self._cloud.encode(history)
            if requests.candidates is None:
                items, values = self._propose(query, history)
            else:
                items = self._known(requests.candidates[row])
                values = self._judge(query, history, items)
            scores[row, items] = values
        scores[:, 0] = -np.inf
        return scores[:, self._index_of_item]

    def _known(self, items: Int32Array) -> Int32Array:
        indexes = self._index_of_item[items]
        return indexes[indexes > 0]

    def _propose(self, query: Float32Array, history: Int32Array) -> tuple[Int32Array, Float32Array]:
        if self._with_ranker:
            proposal = self._cloud.propose(query, history, Surface.FEED, NUM_CANDIDATES, self._now_ms, history)
            return proposal.item_indexes, proposal.scores
        allowed = self._cloud.catalogue.on_surface(Surface.FEED).copy()
        allowed[history] = False
        scores, found = self._cloud.index.search(query[None], NUM_CANDIDATES, allowed)
        return found[0][found[0] > 0], scores[0][found[0] > 0]

    def _judge(self, query: Float32Array, history: Int32Array, items: Int32Array) -> Float32Array:
        scores = self._cloud.vectors[items] @ query
        return self._cloud.rank(query, history, items, scores) if self._with_ranker else scores
