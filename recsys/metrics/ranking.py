"""Ranking metrics of single events, from the rank of the item that was chosen.

A rank is 0 for the first place; `MISSED` stands for an item outside the list, which scores 0 everywhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array

MISSED: Final = -1


def rank_of(target: int, ranking: Int32Array) -> int:
    """Returns the place of `target` in `[num_candidates]` int32, or `MISSED`."""
    places = np.flatnonzero(ranking == target)
    return int(places[0]) if len(places) else MISSED


def full_rank(scores: Float32Array, target: int, allowed: BoolArray) -> int:
    """Returns the place of `target` among all that is allowed, ties broken by index; `MISSED` where it is not.

    Args:
      scores: `[num_items]` float32, higher is better.
      target: Index into `scores`.
      allowed: `[num_items]` bool: what is ranked.
    """
    if not allowed[target]:
        return MISSED
    better = (scores > scores[target]) & allowed
    earlier = (scores[:target] == scores[target]) & allowed[:target]
    return int(better.sum() + earlier.sum())


def ndcg_at(ranks: Int32Array, count: int) -> Float64Array:
    """Returns the normalised discounted cumulative gain of each event with one relevant item.

    With one relevant item the ideal gain is 1, so the value is 1 / log2(rank + 2) within the first `count` places
    (Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002).

    Args:
      ranks: `[num_events]` int32.
      count: The cut.
    """
    hit = _hits(ranks, count)
    return np.where(hit, 1.0 / np.log2(np.where(hit, ranks, 0) + 2.0), 0.0)


def hit_at(ranks: Int32Array, count: int) -> Float64Array:
    """Returns 1 where the rank (`[num_events]` int32) is within the first `count` places, else 0."""
    return _hits(ranks, count).astype(np.float64)


def auc(scores: Float32Array, labels: BoolArray) -> float | None:
    """Returns the area under the ROC curve of one list, ties counting half; None where a class is absent.

    Args:
      scores: `[num_items]` float32, higher is better.
      labels: `[num_items]` bool.
    """
    positives, negatives = scores[labels], scores[~labels]
    if len(positives) == 0 or len(negatives) == 0:
        return None
    ordered = np.sort(negatives)
    above = np.searchsorted(ordered, positives, side="left").sum()
    not_below = np.searchsorted(ordered, positives, side="right").sum()
    return float((above + not_below) / (2 * len(positives) * len(negatives)))


def _hits(ranks: Int32Array, count: int) -> BoolArray:
    return (ranks != MISSED) & (ranks < count)
