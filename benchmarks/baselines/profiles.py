"""Histories as rows of a sparse matrix, which is how most baselines see them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from benchmarks.task import Log
from recsys.contracts.arrays import Float32Array


def count_profiles(log: Log) -> sp.csr_matrix:
    """Returns `[num_users, num_items]` float32 with 1 where a user chose an item, however often."""
    profiles = _fill(log, np.ones(len(log.items), np.float32))
    profiles.data[:] = 1.0
    return profiles


def recency_profiles(log: Log, floor: float, half_life: float) -> sp.csr_matrix:
    """Returns `[num_users, num_items]` float32 in which later choices weigh more.

    Args:
      log: Histories.
      floor: What the oldest choice weighs at least, from 0 to 1.
      half_life: The k-th choice from the end weighs floor + (1 - floor) * 2 ** (-k / half_life), k from 0.
    """
    return _fill(log, (floor + (1.0 - floor) * np.exp2(-log.rows_to_end / half_life)).astype(np.float32))


def _fill(log: Log, weights: Float32Array) -> sp.csr_matrix:
    # From coordinates, so that the weights of an item that was chosen repeatedly add up.
    return sp.coo_matrix((weights, (log.users, log.items)), (log.num_users, log.num_items)).tocsr()
