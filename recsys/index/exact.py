"""Exact search by numpy: the oracle that every other index is measured against."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.errors import ContractError


class ExactIndex:
    """Scores every allowed item."""

    def __init__(self, vectors: Float32Array) -> None:
        """Holds the vectors (not a copy).

        Args:
          vectors: `[num_items + 1, dim]` float32, row 0 is padding.

        Raises:
          ContractError: If they are no such matrix.
        """
        check_vectors(vectors)
        self._vectors = vectors

    @property
    def num_items(self) -> int:
        """Items in the index."""
        return len(self._vectors) - 1

    def search(
        self, queries: Float32Array, count: int, allowed: BoolArray | None = None
    ) -> tuple[Float32Array, Int32Array]:
        """See `CandidateIndex.search`."""
        check_search(queries, allowed, self._vectors.shape[1], self.num_items)
        indexes = np.arange(1, self.num_items + 1) if allowed is None else np.flatnonzero(allowed[1:]) + 1
        scores = np.ascontiguousarray(queries @ self._vectors[indexes].T)
        return best(scores, np.broadcast_to(indexes, scores.shape), count)


def best(scores: Float32Array, item_indexes: Int32Array, count: int) -> tuple[Float32Array, Int32Array]:
    """Returns the `count` best of `[num_queries, num_found]` hits, ties by item index, padded with (-inf, 0)."""
    top_scores = np.full((len(scores), count), -np.inf, np.float32)
    top_indexes = np.zeros((len(scores), count), np.int32)
    for row, (found, indexes) in enumerate(zip(scores, item_indexes, strict=True)):
        kept = np.flatnonzero(found >= _cut(found, count))
        order = kept[np.lexsort((indexes[kept], -found[kept]))][:count]
        order = order[np.isfinite(found[order])]
        top_scores[row, : len(order)] = found[order]
        top_indexes[row, : len(order)] = indexes[order]
    return top_scores, top_indexes


def _cut(scores: Float32Array, count: int) -> float:
    """The score of the last place that counts: all that tie with it are looked at, nothing below is sorted."""
    if len(scores) <= count:
        return -np.inf
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])


def check_vectors(vectors: Float32Array) -> None:
    """Refuses anything but `[num_items + 1, dim]` float32 with at least one item.

    Raises:
      ContractError: Saying what came.
    """
    if vectors.ndim != 2 or len(vectors) < 2 or vectors.dtype != np.float32:
        raise ContractError(
            f"Expected `vectors` [num_items + 1, dim] float32, got {list(vectors.shape)} {vectors.dtype}."
        )


def check_search(queries: Float32Array, allowed: BoolArray | None, dim: int, num_items: int) -> None:
    """Refuses queries or an allow-list of another shape.

    Raises:
      ContractError: Saying what came.
    """
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ContractError(f"Expected `queries` [num_queries, {dim}], got {list(queries.shape)}.")
    if allowed is not None and allowed.shape != (num_items + 1,):
        raise ContractError(f"Expected `allowed` [{num_items + 1}] bool, got {list(allowed.shape)} {allowed.dtype}.")
