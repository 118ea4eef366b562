"""Counts of ordered pairs of items, as exact integers: their sums do not depend on the order of adding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipelines.statistics.histories import Histories
from recsys.contracts.arrays import Int32Array, Int64Array

UNIT: Final = 1 << 24
"""A transition of weight 1 counts so much: weights are whole multiples of 1 / UNIT."""

_MAX_PAIRS: Final = 8_000_000
"""Pairs that are held at once, beside those of one user."""

_MAX_CELLS: Final = 64_000_000
"""Cells of the largest matrix of counts that is held whole."""

_MULTIPLIED_USERS: Final = 1_024

_MAX_SPAN: Final = 8
"""Keys are summed in place where their range is at most so many times their number, and by sorting beyond."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """A sparse matrix of counts.

    Attributes:
      keys: `[num_pairs]` int64, `source * width + target`, strictly rising; `width` is the number of item indexes.
      counts: `[num_pairs]` int64, above 0.
    """

    keys: Int64Array
    counts: Int64Array

    def __len__(self) -> int:
        """Pairs that occur."""
        return len(self.keys)


def count_transitions(histories: Histories, width: int, window: int, decay: float) -> PairCounts:
    """Counts the pairs of which the target followed the source, in multiples of 1 / `UNIT`.

    Args:
      histories: In the order of time.
      width: Number of item indexes, `num_items + 1`.
      window: The largest lag that counts; the next item has lag 1.
      decay: A pair at lag l weighs `decay ** (l - 1)`.
    """
    items, users = histories.items.astype(np.int64), histories.users
    keys, weights = [], []
    for lag in range(1, min(window, len(items) - 1) + 1):
        weight = round(UNIT * decay ** (lag - 1))
        same = users[lag:] == users[:-lag]
        if weight == 0 or not same.any():
            break
        pairs = items[:-lag][same] * width + items[lag:][same]
        keys.append(pairs)
        weights.append(np.full(len(pairs), weight, np.int64))
    return _sum_by_key(_concatenate(keys), _concatenate(weights))


def count_co_occurrences(histories: Histories, width: int) -> PairCounts:
    """Counts the users who chose both items of a pair; on the diagonal, those who chose the item.

    Args:
      histories: Distinct items of each user (see `keep_distinct`).
      width: Number of item indexes, `num_items + 1`.
    """
    items = np.unique(histories.items)
    if len(items) ** 2 <= min(int((histories.lengths**2).sum()), _MAX_CELLS):
        return _multiply(histories, items, width)
    parts = []
    for some in _divide(histories):
        lengths = some.lengths[some.users]
        sources = np.repeat(some.items.astype(np.int64), lengths)
        step = np.arange(len(sources)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        targets = some.items[np.repeat(some.offsets[some.users], lengths) + step]
        parts.append(_sum_by_key(sources * width + targets, np.ones(len(sources), np.int64)))
    return merge(parts)


def count_items(histories: Histories, distinct: Histories, width: int) -> Int64Array:
    """Returns `[2, width]` int64: how often each item was chosen, and by how many users."""
    return np.stack([np.bincount(some.items, minlength=width) for some in (histories, distinct)]).astype(np.int64)


def merge(parts: Sequence[PairCounts]) -> PairCounts:
    """Adds up counts of the same pairs."""
    parts = [part for part in parts if len(part)]
    if len(parts) <= 1:
        return parts[0] if parts else PairCounts(np.zeros(0, np.int64), np.zeros(0, np.int64))
    first = min(int(part.keys[0]) for part in parts)
    span = max(int(part.keys[-1]) for part in parts) - first + 1
    if span > _MAX_SPAN * sum(map(len, parts)):
        return _sum_by_key(_concatenate([part.keys for part in parts]), _concatenate([part.counts for part in parts]))
    sums = np.zeros(span, np.int64)
    for part in parts:
        sums[part.keys - first] += part.counts
    found = np.flatnonzero(sums)
    return PairCounts(found + first, sums[found])


def split_by_source(pairs: PairCounts, width: int, block_items: int) -> Iterator[tuple[int, PairCounts]]:
    """Yields (block, its pairs) for each block of `block_items` sources that has pairs."""
    size = block_items * width
    start = 0
    while start < len(pairs):
        block = int(pairs.keys[start]) // size
        end = int(np.searchsorted(pairs.keys, (block + 1) * size))
        yield block, PairCounts(pairs.keys[start:end], pairs.counts[start:end])
        start = end


def _divide(histories: Histories) -> Iterator[Histories]:
    """Yields the users in groups of at most `_MAX_PAIRS` pairs, one user at least."""
    ends = np.cumsum(histories.lengths**2)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + _MAX_PAIRS, side="right")), start + 1)
        offsets = histories.offsets[start : end + 1]
        yield Histories(offsets - offsets[0], histories.items[offsets[0] : offsets[-1]])
        start = end


def _multiply(histories: Histories, items: Int32Array, width: int) -> PairCounts:
    """Counts co-occurrences as a product of matrices: far quicker where most pairs of the `items` occur."""
    columns = np.searchsorted(items, histories.items)
    gram = np.zeros((len(items), len(items)), np.float32)  # exact below 2^24 users, which no batch has
    for start in range(0, len(histories.lengths), _MULTIPLIED_USERS):
        offsets = histories.offsets[start : start + _MULTIPLIED_USERS + 1]
        chosen = np.zeros((len(offsets) - 1, len(items)), np.float32)
        rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        chosen[rows, columns[offsets[0] : offsets[-1]]] = 1.0
        gram += chosen.T @ chosen
    sources, targets = np.nonzero(gram)
    return PairCounts(items[sources].astype(np.int64) * width + items[targets], gram[sources, targets].astype(np.int64))


def _sum_by_key(keys: Int64Array, counts: Int64Array) -> PairCounts:
    """Adds up the counts of equal keys, which come in any order."""
    if len(keys) == 0:
        return PairCounts(keys, counts)
    first = int(keys.min())
    span = int(keys.max()) - first + 1
    if span <= _MAX_SPAN * len(keys) and int(counts.max()) * len(keys) < 1 << 53:
        # Sums of float64 are exact below 2^53.
        sums = np.bincount(keys - first, weights=counts, minlength=span)
        found = np.flatnonzero(sums)
        return PairCounts(found + first, sums[found].astype(np.int64))
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return PairCounts(keys[starts], np.add.reduceat(counts, starts))


def _concatenate(parts: Sequence[Int64Array]) -> Int64Array:
    return np.concatenate([np.zeros(0, np.int64), *parts])
