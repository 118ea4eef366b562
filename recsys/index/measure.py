"""How much of the exact answer an index finds."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array
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
    num_wanted = (wanted > 0).sum(axis=1)
    if len(queries) == 0 or num_wanted.min() == 0:
        raise ContractError(f"Expected queries and allowed items to measure recall on, got {len(queries)} queries.")
    _, found = index.search(queries, count, allowed)
    shares = [
        len(np.intersect1d(left[left > 0], right[right > 0])) / number
        for left, right, number in zip(found, wanted, num_wanted, strict=True)
    ]
    return float(np.mean(shares))
