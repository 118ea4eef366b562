"""P6's task: rows that a person liked or disliked, and which of them are to be told apart unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.settings import PipelineSettings
from data.dataset import Dataset
from data.split import Split
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array


@dataclass(frozen=True, eq=False)
class Judgements:
    """Likes and dislikes, by user and time.

    Attributes:
      protocol: Its name.
      title: What it is, in a line.
      dataset: The data; models of the cloud read more of it than the judgements, through `split`.
      split: Whose test part holds every event of the rows that are tested.
      user_ids: `num_users` ids.
      item_ids: `num_items` ids.
      users: `[num_rows]` int64.
      items: `[num_rows]` int32.
      times_ms: `[num_rows]` int64.
      liked: `[num_rows]` bool; False is a dislike.
      tested: `[num_rows]` bool; the label of such a row is known to nobody.
    """

    protocol: str
    title: str
    dataset: Dataset
    split: Split
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    users: Int64Array
    items: Int32Array
    times_ms: Int64Array
    liked: BoolArray
    tested: BoolArray

    @property
    def pipeline(self) -> PipelineSettings:
        """The protocol leaves all to the settings of the pipelines."""
        return {}

    @property
    def known_likes(self) -> Int64Array:
        """`[num_items]` int64: likes of each item in the rows that are known."""
        return self._count(self.liked)

    @property
    def known_dislikes(self) -> Int64Array:
        """`[num_items]` int64: dislikes likewise."""
        return self._count(~self.liked)

    def _count(self, rows: BoolArray) -> Int64Array:
        return np.bincount(self.items[rows & ~self.tested], minlength=len(self.item_ids))


@dataclass(frozen=True)
class Run:
    """One arm with one seed: `[num_tested]` float32 scores, what they cost, and what is to be known of it."""

    scores: Float32Array
    fit_seconds: float
    score_seconds: float
    facts: dict[str, Any]
