"""Order within histories: strictly rising times and the 5-core."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import BoolArray, Int64Array


def spread_ties(user: Int64Array, time_ms: Int64Array) -> Int64Array:
    """Returns times that rise strictly within each user, moved by as little as ties demand (1 ms each).

    Args:
      user: `[num_rows]` int64 codes from 0; rows of a user adjacent, in their order.
      time_ms: `[num_rows]` int64, not falling within a user, below 2**43.
    """
    rows = np.arange(len(user))
    # Users are set apart by more than any time, so that one running maximum serves them all.
    apart = user.astype(np.int64) << 43
    return np.maximum.accumulate(apart + time_ms - rows) + rows - apart


def keep_core(user: Int64Array, item: Int64Array, least: int) -> BoolArray:
    """Returns which rows are left when users and items with fewer than `least` rows are dropped until none is.

    Args:
      user: `[num_rows]` int64 codes from 0.
      item: `[num_rows]` int64 codes from 0.
      least: The k of the k-core.
    """
    kept = np.ones(len(user), np.bool_)
    while True:
        users = np.bincount(user[kept], minlength=int(user.max(initial=0)) + 1)
        items = np.bincount(item[kept], minlength=int(item.max(initial=0)) + 1)
        still = kept & (users[user] >= least) & (items[item] >= least)
        if still.sum() == kept.sum():
            return kept
        kept = still
