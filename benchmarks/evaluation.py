"""From scores to ranks, from ranks to figures per user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from benchmarks.task import Log, Requests
from recsys.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from recsys.metrics.ranking import MISSED, hit_at, ndcg_at

Score: TypeAlias = Callable[[Requests], Float32Array]
"""How a fitted model scores (see `benchmarks.baselines.recommender`)."""

CUT: Final = 10
RECALL_CUT: Final = 100

_CHUNK_REQUESTS: Final = 512


def rank_targets(score: Score, log: Log, requests: Requests) -> Int32Array:
    """Returns the rank of each target, `[num_targets]` int32, `MISSED` where the model would not show it.

    Args:
      score: Of a fitted model.
      log: Histories; what is in them is not ranked, unless the protocol names the candidates.
      requests: What is asked.
    """
    ranks = []
    for start in range(0, len(requests), _CHUNK_REQUESTS):
        part = requests.slice(start, start + _CHUNK_REQUESTS)
        scores = np.array(score(part), np.float32)
        ranks.append(_rank_all(scores, log, part) if part.candidates is None else _rank_some(scores, part))
    return np.concatenate(ranks)


def measure(requests: Requests, ranks: Int32Array) -> dict[str, Float64Array]:
    """Returns metric to `[num_requests]` float64.

    HR@10 is 1 where any target is among the first 10. NDCG@10 is over all targets of the request. Recall@100 is the
    share of them among the first 100; it says nothing of 100 candidates or fewer, and is left out there.

    Args:
      requests: What was asked.
      ranks: `[num_targets]` int32 (see `rank_targets`).
    """
    first, counts = requests.offsets[:-1], np.diff(requests.offsets)
    places = 1.0 / np.log2(np.arange(CUT) + 2.0)
    ideal = np.cumsum(places)[np.minimum(counts, CUT) - 1]
    values = {
        "hit_rate_at_10": np.maximum.reduceat(hit_at(ranks, CUT), first),
        "ndcg_at_10": np.add.reduceat(ndcg_at(ranks, CUT), first) / ideal,
    }
    if requests.candidates is None:
        values["recall_at_100"] = np.add.reduceat(hit_at(ranks, RECALL_CUT), first) / counts
    return values


def _rank_all(scores: Float32Array, log: Log, requests: Requests) -> Int32Array:
    """Ranks among what the user has not chosen before; other targets stand in the way like any item."""
    for row, user in enumerate(requests.users.tolist()):
        scores[row, log.history(user)] = -np.inf
    rows = np.repeat(np.arange(len(requests)), np.diff(requests.offsets))
    own = scores[rows, requests.targets][:, None]
    earlier = np.arange(scores.shape[1])[None, :] < requests.targets[:, None]
    return _count_before(scores[rows], own, earlier)


def _rank_some(scores: Float32Array, requests: Requests) -> Int32Array:
    """Ranks the first candidate among all candidates of its request."""
    candidates = requests.candidates
    if candidates is None:
        return np.zeros(0, np.int32)
    chosen = np.take_along_axis(scores, candidates.astype(np.int64), axis=1)
    return _count_before(chosen, chosen[:, :1], candidates < candidates[:, :1])


def _count_before(scores: Float32Array, own: Float32Array, earlier: BoolArray) -> Int32Array:
    before = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return np.where(np.isneginf(own[:, 0]), MISSED, before).astype(np.int32)
