"""How much of the exact answer an index finds."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Float32Array
from recsys.index.protocol import CandidateIndex


def recall(index: CandidateIndex, exact: CandidateIndex, queries: Float32Array, count: int) -> float:
    """Returns the share of the exact `count` best items that `index` finds.

    Args:
      index: Measured.
      exact: The oracle.
      queries: `[num_queries, dim]` float32, over which the share is meaned.
      count: How many items are asked for.
    """
    _, found = index.search(queries, count)
    _, wanted = exact.search(queries, count)
    shares = [
        len(np.intersect1d(left[left > 0], right[right > 0])) / max(int((right > 0).sum()), 1)
        for left, right in zip(found, wanted, strict=True)
    ]
    return float(np.mean(shares))
