"""Histories as the towers read them: the last items, oldest first, padded on the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.contracts.arrays import Float32Array, Int32Array


def pad_history(item_indexes: Sequence[int] | Int32Array, length: int) -> Int32Array:
    """Returns the last `length` indexes as `[length]` int32, zeros on the left; unknown items (0) are dropped.

    Example:
      >>> pad_history([3, 0, 5], 4).tolist()
      [0, 0, 3, 5]
    """
    known = np.asarray(item_indexes, np.int32)
    known = known[known > 0][-length:]
    padded = np.zeros(length, np.int32)
    if len(known):
        padded[-len(known) :] = known
    return padded


def history_mask(padded: Int32Array) -> Float32Array:
    """Returns 1 where `[..., length]` int32 holds an item and 0 where it is padding, as float32."""
    return (padded > 0).astype(np.float32)


def standardise(scores: Float32Array) -> Float32Array:
    """Returns `[..., num_candidates]` scores with mean 0 and variance 1 within each list (0 where all are equal).

    A re-ranking tower sees a score only relative to its list, so that a new ranker with another scale does no harm.
    """
    # What `mean` and `std` compute, to the last bit, without what they look into first: half of the time on a list.
    num_candidates = scores.shape[-1]
    centred = scores - np.add.reduce(scores, axis=-1, keepdims=True) / num_candidates
    rest = centred - np.add.reduce(centred, axis=-1, keepdims=True) / num_candidates
    deviation = np.sqrt(np.add.reduce(rest * rest, axis=-1, keepdims=True) / num_candidates)
    if deviation.size != 1:
        deviation = np.where(deviation > 1e-6, deviation, 1.0)
    elif deviation.item() <= 1e-6:  # one list, most often: a comparison costs less than `where`
        deviation = np.ones_like(deviation)
    return (centred / deviation).astype(np.float32, copy=False)
