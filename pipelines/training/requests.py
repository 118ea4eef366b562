"""Requests out of the validation period: a history, and what was chosen next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.training.examples import Sequences
from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.features.catalogue import Catalogue

_CHUNK_SCORES = 4_000_000
"""Scores held at once while ranking the whole catalogue."""


@dataclass(frozen=True)
class Requests:
    """Places of the validation period whose item is new to its user, `[num_requests]` each.

    Attributes:
      users: int64, rows of `Sequences`.
      places: int64, places in `Sequences.items`: everything before is history, the item there was chosen.
      targets: int32, the item indexes that were chosen.
    """

    users: Int64Array
    places: Int64Array
    targets: Int32Array

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.targets)

    def take(self, rows: Int64Array | BoolArray) -> Requests:
        """Returns the requests of some rows."""
        return Requests(self.users[rows], self.places[rows], self.targets[rows])


def validation_requests(sequences: Sequences) -> Requests:
    """Returns a request for each validation item that its user had not chosen before, in the order of `sequences`."""
    users = np.repeat(np.arange(sequences.num_users), np.diff(sequences.offsets))
    keys = users * (int(sequences.items.max(initial=0)) + 1) + sequences.items
    is_new = np.zeros(len(keys), np.bool_)
    is_new[np.unique(keys, return_index=True)[1]] = True
    places = np.flatnonzero(is_new & sequences.is_validation)
    return Requests(users[places], places, sequences.items[places])


def period_requests(sequences: Sequences, per_user: int, seed: int) -> Requests:
    """Returns requests for validation items that are asked for at the end of training, when none of them is known.

    Args:
      sequences: All users.
      per_user: Items of a user at most, drawn by the seed, so that busy users do not outweigh the others.
      seed: Draws them.
    """
    requests = validation_requests(sequences)
    drawn = np.random.default_rng(seed).permutation(len(requests))
    drawn = drawn[np.argsort(requests.users[drawn], kind="stable")]
    users = requests.users[drawn]
    place_in_user = np.arange(len(users)) - np.searchsorted(users, users)
    kept = requests.take(np.sort(drawn[place_in_user < per_user]))
    return Requests(kept.users, sequences.train_ends[kept.users], kept.targets)


def first_requests(requests: Requests, count: int, seed: int) -> Requests:
    """Returns the first request of each user, of at most `count` users drawn by the seed."""
    rows = np.unique(requests.users, return_index=True)[1]
    if len(rows) > count:
        rows = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
    return requests.take(rows)


def score_catalogue(
    requests: Requests, sequences: Sequences, queries: Float32Array, vectors: Float32Array, catalogue: Catalogue
) -> Iterator[tuple[slice, Float32Array]]:
    """Yields rows of requests and their scores `[num_rows, num_items + 1]`; what cannot be shown scores -inf.

    Shown can be what lies on the chosen item's surface and is not in the history.

    Args:
      requests: Who asks, and when.
      sequences: Their histories.
      queries: `[num_requests, dim]` float32.
      vectors: `[num_items + 1, dim]` float32.
      catalogue: Surfaces.
    """
    rows = max(1, _CHUNK_SCORES // len(vectors))
    for start in range(0, len(requests), rows):
        part = slice(start, start + rows)
        users, places = requests.users[part], requests.places[part]
        scores = queries[part] @ vectors.T
        surfaces = catalogue.surfaces[requests.targets[part]]
        scores[catalogue.surfaces[None, :] != surfaces[:, None]] = -np.inf
        scores[:, 0] = -np.inf
        lengths = places - sequences.offsets[users]
        row = np.repeat(np.arange(len(users)), lengths)
        step = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        scores[row, sequences.items[sequences.offsets[users][row] + step]] = -np.inf
        yield part, scores


def target_ranks(scores: Float32Array, targets: Int32Array) -> Int64Array:
    """Returns how many candidates stand before the target, `[num_requests]` int64; equal scores stand by item index.

    Args:
      scores: `[num_requests, num_items + 1]` float32.
      targets: `[num_requests]` int32.
    """
    own = scores[np.arange(len(targets)), targets][:, None]
    indexes = np.arange(scores.shape[1])[None, :]
    return ((scores > own) | ((scores == own) & (indexes < targets[:, None]))).sum(axis=1)


def ndcg_at_10(ranks: Int64Array | Float32Array) -> float:
    """Returns the mean gain of one relevant item per list; a rank of 10 or more (or infinity) counts 0."""
    if len(ranks) == 0:
        return 0.0
    return float(np.where(ranks < 10, 1.0 / np.log2(np.minimum(ranks, 10) + 2.0), 0.0).mean())
