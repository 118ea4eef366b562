"""Exact search by numpy: the oracle that every other index is measured against."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.errors import ContractError

_BLOCK_SCORES = 1 << 24
"""Scores held at once: 64 MiB, however many queries come."""


class ExactIndex:
    """Scores every allowed item."""

    def __init__(self, vectors: Float32Array) -> None:
        """Holds the vectors (not a copy).

        Args:
          vectors: `[num_items + 1, dim]` float32, finite; row 0 is padding.

        Raises:
          ContractError: If they are no such matrix.
        """
        check_vectors(vectors)
        self._vectors = vectors

    @property
    def num_items(self) -> int:
        """Items in the index."""
        return len(self._vectors) - 1

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    def search(
        self, queries: Float32Array, count: int, allowed: BoolArray | None = None
    ) -> tuple[Float32Array, Int32Array]:
        """See `CandidateIndex.search`."""
        check_search(queries, count, allowed, self.dim, self.num_items)
        if allowed is None:
            return search_rows(queries, count, self._vectors[1:], np.arange(1, self.num_items + 1, dtype=np.int32))
        item_indexes = allowed_items(allowed)
        return search_rows(queries, count, self._vectors[item_indexes], item_indexes)


def allowed_items(allowed: BoolArray) -> Int32Array:
    """Returns the item indexes of an allow-list, rising, as int32; never index 0."""
    return (np.flatnonzero(allowed[1:]) + 1).astype(np.int32)


def search_rows(
    queries: Float32Array, count: int, vectors: Float32Array, item_indexes: Int32Array
) -> tuple[Float32Array, Int32Array]:
    """Scores every row and returns the `count` best per query.

    Args:
      queries: `[num_queries, dim]` float32.
      count: How many are wanted.
      vectors: `[num_rows, dim]` float32.
      item_indexes: `[num_rows]` int32, what the rows are.

    Returns:
      Scores `[num_queries, count]` float32 and item indexes `[num_queries, count]` int32, padded with (-inf, 0).
    """
    top_scores = np.full((len(queries), count), -np.inf, np.float32)
    top_items = np.zeros((len(queries), count), np.int32)
    step = max(1, _BLOCK_SCORES // max(1, len(vectors)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        scores = queries[block] @ vectors.T
        select_best(scores, np.broadcast_to(item_indexes, scores.shape), top_scores[block], top_items[block])
    return top_scores, top_items


def select_best(
    scores: Float32Array, item_indexes: Int32Array, top_scores: Float32Array, top_items: Int32Array
) -> None:
    """Fills in the best hits of each query, by falling score, ties by rising item index.

    Args:
      scores: `[num_queries, num_hits]` float32; -inf is no hit.
      item_indexes: `[num_queries, num_hits]` int32.
      top_scores: `[num_queries, count]` float32, filled from the left.
      top_items: `[num_queries, count]` int32, likewise.
    """
    count = top_scores.shape[1]
    for row, (found, items) in enumerate(zip(scores, item_indexes, strict=True)):
        kept = np.flatnonzero((found >= _cut(found, count)) & (found > -np.inf))
        order = kept[np.lexsort((items[kept], -found[kept]))][:count]
        top_scores[row, : len(order)] = found[order]
        top_items[row, : len(order)] = items[order]


def _cut(scores: Float32Array, count: int) -> float:
    """The score of the last place that counts: all that tie with it are looked at, nothing below is sorted."""
    if len(scores) <= count:
        return -np.inf
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])


def check_vectors(vectors: Float32Array) -> None:
    """Refuses anything but `[num_items + 1, dim]` float32, finite, with at least one item.

    Raises:
      ContractError: Saying what came.
    """
    if vectors.ndim != 2 or len(vectors) < 2 or vectors.dtype != np.float32:
        raise ContractError(
            "Expected `vectors` [num_items + 1, dim] float32 with at least one item, "
            f"got {list(vectors.shape)} {vectors.dtype}."
        )
    if not np.isfinite(vectors).all():
        raise ContractError("Expected finite `vectors` to index, got NaN or infinity.")


def check_search(queries: Float32Array, count: int, allowed: BoolArray | None, dim: int, num_items: int) -> None:
    """Refuses arguments of a search that do not fit the index.

    Raises:
      ContractError: Saying what came.
    """
    if queries.ndim != 2 or queries.shape[1] != dim or queries.dtype != np.float32:
        raise ContractError(
            f"Expected `queries` [num_queries, {dim}] float32, got {list(queries.shape)} {queries.dtype}."
        )
    if not np.isfinite(queries).all():
        raise ContractError("Expected finite `queries`, got NaN or infinity.")
    if count < 1:
        raise ContractError(f"Expected `count` from 1 up, got {count}.")
    if allowed is not None and (allowed.shape != (num_items + 1,) or allowed.dtype != np.bool_):
        raise ContractError(f"Expected `allowed` [{num_items + 1}] bool, got {list(allowed.shape)} {allowed.dtype}.")
