"""Popularity: the same list for everybody, over all time or over the latest events."""

from __future__ import annotations

import numpy as np

from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array


class Popularity:
    """Counts of each item."""

    def __init__(self, recent_share: float = 1.0) -> None:
        """Keeps how much of the log counts.

        Args:
          recent_share: Share of all events, the latest; 1 is all time.
        """
        self._recent_share = recent_share
        self._counts = np.zeros(0, np.float32)

    def fit(self, log: Log, seed: int) -> None:
        """Counts the latest events; of those at the same moment the ones of later users."""
        latest = np.argsort(log.times_ms, kind="stable")
        kept = latest[len(latest) - int(len(latest) * self._recent_share) :]
        self._counts = np.bincount(log.items[kept], minlength=log.num_items).astype(np.float32)

    def score(self, requests: Requests) -> Float32Array:
        """Returns the same row for every request."""
        return np.broadcast_to(self._counts, (len(requests), len(self._counts)))
