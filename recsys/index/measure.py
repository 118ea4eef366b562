"""How much of the exact answer an index finds."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.errors import ContractError
from recsys.index.protocol import CandidateIndex


def recall(
    index: CandidateIndex,
    exact: CandidateIndex,
    queries: Float32Array,
    count: int,
    allowed: BoolArray | None = None,
) -> float:
    """Returns the share of the exact `count` best items that `index` finds, meaned over the queries.

    Args:
      index: Measured.
      exact: The oracle, over the same items.
      queries: `[num_queries, dim]` float32, at least one.
      count: How many items are asked for.
      allowed: `[num_items + 1]` bool, the allow-list under which both search.

    Raises:
      ContractError: If there is no query, or nothing to be found.
    """
    _, wanted = exact.search(queries, count, allowed)
    if len(queries) == 0 or (wanted > 0).sum(axis=1).min() == 0:
        raise ContractError(f"Expected queries and allowed items to measure recall on, got {len(queries)} queries.")
    return share_found(index.search(queries, count, allowed)[1], wanted)


def share_found(found: Int32Array, wanted: Int32Array) -> float:
    """Returns the share of the wanted items that were found, meaned over the queries.

    Args:
      found: `[num_queries, num_found]` int32 item indexes; 0 is none.
      wanted: `[num_queries, num_wanted]` int32 item indexes, at least one per query; 0 is none.
    """
    shares = [
        len(np.intersect1d(left[left > 0], right[right > 0])) / np.count_nonzero(right)
        for left, right in zip(found, wanted, strict=True)
    ]
    return float(np.mean(shares))
