"""Why an item stands where it stands: what the device tower was given, and what it would say without a behaviour.

The effect of a behaviour is a difference of two answers of the tower itself: with the whole history, and with that item
left out of it (out of the query vector as well). Nothing is read off weights, so that it holds for every tower. What a
behaviour adds to all candidates alike moves none of them; so effects are taken relative to the list's mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.features.history import standardise
from serving.engine import Engine, Listed, Ranked
from serving.observation import Stopwatch

MAX_BEHAVIOURS: Final = 3
"""Behaviours named per item: the strongest, to either side."""


@dataclass(frozen=True)
class Behaviour:
    """An item of the history, and by how much it lifted a candidate over the others (negative: pressed it down)."""

    item_id: str
    effect: float


@dataclass(frozen=True)
class Reason:
    """What moved one known candidate.

    Attributes:
      cloud_score: The cloud's score, standardised within the list.
      own_score: Inner product with the query vector of the history, standardised within the list.
      history_effect: What the whole history did, relative to the list's mean.
      behaviours: Those of the history with the strongest effects, strongest first.
    """

    cloud_score: float
    own_score: float
    history_effect: float
    behaviours: tuple[Behaviour, ...]


def rerank_explained(
    engine: Engine, given: Listed, is_explained: bool, stopwatch: Stopwatch
) -> tuple[Ranked, dict[int, Reason]]:
    """Returns a list's new order and, where that is asked for, what `explain` says of it.

    Args:
      engine: Whose towers are asked.
      given: The list.
      is_explained: Whether reasons are asked for.
      stopwatch: Takes the time of the stages.
    """
    return engine.rerank(given, stopwatch), explain(engine, given, stopwatch) if is_explained else {}


def explain(engine: Engine, given: Listed, stopwatch: Stopwatch) -> dict[int, Reason]:
    """Returns the reason of every candidate that the catalogue has, by its row in the list that came.

    Args:
      engine: Whose towers are asked; once more for each distinct item of the history that the device tower attends to.
      given: The list.
      stopwatch: Takes the time of the stage `explain`.
    """
    indexes = engine.cloud.catalogue.index_of(given.item_ids)
    rows = np.flatnonzero(indexes > 0)
    if len(rows) == 0:
        return {}
    with stopwatch.stage("explain"):
        list_of = _List(engine, indexes[rows], np.asarray(given.scores, np.float32)[rows])
        past = engine.known(given.history)
        whole = list_of.judge(past)
        recent = np.unique(past[-engine.reranker.history_length :])
        effects = np.array([whole - list_of.judge(past[past != item]) for item in recent]).reshape(-1, len(rows))
        of_history = whole - list_of.judge(past[:0])
    names = engine.cloud.catalogue.ids_of(recent)
    own = list_of.own_scores(past)
    return {
        row: Reason(float(cloud), float(mine), float(total), _strongest(names, effects[:, place]))
        for place, (row, cloud, mine, total) in enumerate(
            zip(rows.tolist(), standardise(list_of.scores), own, of_history, strict=True)
        )
    }


@dataclass(frozen=True)
class _List:
    """The known candidates of one request."""

    engine: Engine
    indexes: Int32Array
    scores: Float32Array

    def judge(self, past: Int32Array) -> Float32Array:
        """Returns the device tower's scores under a history, less their mean."""
        vectors = self.engine.cloud.vectors
        query = self.engine.cloud.encode(past)
        fresh = self.engine.reranker.rerank(vectors[self.indexes], self.scores, query, vectors[past])
        return fresh - fresh.mean()

    def own_scores(self, past: Int32Array) -> Float32Array:
        """Returns the inner products with the query vector as the tower reads them."""
        return standardise(self.engine.cloud.vectors[self.indexes] @ self.engine.cloud.encode(past))


def _strongest(names: Sequence[str], effects: Float32Array) -> tuple[Behaviour, ...]:
    order = np.argsort(-np.abs(effects), kind="stable")[:MAX_BEHAVIOURS]
    return tuple(Behaviour(names[place], float(effects[place])) for place in order)
