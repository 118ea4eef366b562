"""Retrieval on the device: what the server learned from sums over devices, times the private history.

A device downloads whole tables, so that nobody learns which rows it reads. Scores are those of `benchmarks/baselines`'
transitions and blend, which know every history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from federated.device.contribution import keep_items
from federated.device.sequence import SequenceWeights, score_all
from recsys.config.federated import StrictSettings
from recsys.contracts.arrays import Float32Array, Int8Array, Int32Array
from recsys.features.history import standardise

_MOST = 127
_LEAST_WEIGHT = 1e-6
"""Choices that weigh less are not looked up."""


@dataclass(frozen=True, eq=False)
class ItemTable:
    """What each item says about each other one, as it is sent: bytes, and a scale for each row.

    Attributes:
      codes: `[num_items, num_items]` int8.
      scales: `[num_items]` float32; a row is its codes times its scale.
    """

    codes: Int8Array
    scales: Float32Array

    @property
    def size_bytes(self) -> int:
        """Bytes of a download."""
        return self.codes.nbytes + self.scales.nbytes

    def vote(self, items: Int32Array, weights: Float32Array) -> Float32Array:
        """Returns the weighted sum of the rows of some items, `[num_items]` float32."""
        scores: Float32Array = (weights * self.scales[items]) @ self.codes[items].astype(np.float32)
        return scores


def pack_table(rows: Float32Array) -> ItemTable:
    """Returns `[num_items, num_items]` float32 as bytes; each number is off by at most half a scale."""
    scales = np.abs(rows).max(axis=1, initial=0.0) / _MOST
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    return ItemTable(np.rint(rows / scales[:, None]).astype(np.int8), scales)


@dataclass(frozen=True, eq=False)
class SharedTables:
    """All that a device downloads.

    Attributes:
      popularity: `[num_items]` float32, on how many devices each item was chosen: what is shown without history.
      kept: `[num_kept]` int32, the items that tables are about, by place; the others are too rare.
      follows: What follows each item.
      recent_taste: What goes with each item, for a profile in which later choices weigh more.
      taste: What goes with each item, for a plain profile.
    """

    popularity: Float32Array
    kept: Int32Array
    follows: ItemTable
    recent_taste: ItemTable
    taste: ItemTable


class PrivateRetriever:
    """Scores the whole catalogue for one person, on their device."""

    def __init__(self, tables: SharedTables, settings: StrictSettings) -> None:
        """Keeps the tables and how the history is weighed."""
        self._tables = tables
        self._settings = settings

    def follow(self, history: Int32Array) -> Float32Array:
        """Returns `[num_items]` float32: what follows the latest choices.

        Args:
          history: `[num]` int32 items from 0, oldest first.
        """
        return self._place(history, self._follow)

    def blend(self, history: Int32Array) -> Float32Array:
        """Returns `[num_items]` float32: what follows the latest choices, and half of each taste, all standardised.

        Args:
          history: As above.
        """
        return self._place(history, self._blend)

    def ask(self, history: Int32Array, tower: SequenceWeights) -> Float32Array:
        """Returns `[num_items]` float32: what a sequence tower asks for.

        Args:
          history: As above.
          tower: Over the items that are kept.
        """
        return self._place(history, lambda places: score_all(tower, places[places >= 0]))

    def blend_with(self, history: Int32Array, tower: SequenceWeights, weight: float) -> Float32Array:
        """Returns `[num_items]` float32: the blend, and so much of the tower, both standardised.

        Args:
          history: As above.
          tower: As above.
          weight: Of the tower.
        """

        def score(places: Int32Array) -> Float32Array:
            asked = standardise(score_all(tower, places[places >= 0]))
            return standardise(self._blend(places)) + np.float32(weight) * asked

        return self._place(history, score)

    def _follow(self, history: Int32Array) -> Float32Array:
        return self._tables.follows.vote(*_weigh(history, 0.0, self._settings.half_life))

    def _blend(self, history: Int32Array) -> Float32Array:
        settings = self._settings
        recent = _weigh(history, settings.recency_floor, settings.recency_half_life)
        chosen = np.unique(history[history >= 0])
        tastes = (
            self._tables.recent_taste.vote(*recent),
            self._tables.taste.vote(chosen, np.ones(len(chosen), np.float32)),
        )
        return standardise(self._follow(history)) + 0.5 * (standardise(tastes[0]) + standardise(tastes[1]))

    def _place(self, history: Int32Array, score: Callable[[Int32Array], Float32Array]) -> Float32Array:
        """Scores of the items that are kept; behind them the others, and without history all, by popularity."""
        popularity, kept = self._tables.popularity, self._tables.kept
        places = keep_items(history, kept)
        if not (places >= 0).any():
            return popularity
        scores = score(places)
        whole: Float32Array = scores.min() - 1.0 / (1.0 + popularity)
        whole[kept] = scores
        return whole


def _weigh(history: Int32Array, floor: float, half_life: float) -> tuple[Int32Array, Float32Array]:
    """Places that matter, and their weights: floor + (1 - floor) * 2 ** (-k / half_life) for the k-th from the end."""
    places = np.arange(len(history))[::-1]
    weights = (floor + (1.0 - floor) * np.exp2(-places / half_life)).astype(np.float32)
    kept = (weights >= _LEAST_WEIGHT) & (history >= 0)
    return history[kept], weights[kept]
