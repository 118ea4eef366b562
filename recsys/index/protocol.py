"""What every candidate index can do."""

from __future__ import annotations

from typing import Protocol

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array


class CandidateIndex(Protocol):
    """Items by inner product.

    Law (`tests/suites/index.py`): results are distinct, fall by score, ties rise by item index, only allowed items
    appear, index 0 never does; where fewer items are found, the rest is index 0 with a score of -inf.
    """

    @property
    def num_items(self) -> int:
        """Items in the index."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def search(
        self, queries: Float32Array, count: int, allowed: BoolArray | None = None
    ) -> tuple[Float32Array, Int32Array]:
        """Returns the best items of each query. May be called from several threads at once.

        Args:
          queries: `[num_queries, dim]` float32, finite.
          count: How many items per query, from 1.
          allowed: `[num_items + 1]` bool over item indexes (row 0 does not matter); all items where it is None.

        Returns:
          Scores `[num_queries, count]` float32 and item indexes `[num_queries, count]` int32.

        Raises:
          ContractError: If the arguments do not fit the index.
        """
