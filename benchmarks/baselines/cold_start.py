"""What a personalised baseline shows to people of whom it knows nothing: what is popular."""

from __future__ import annotations

import numpy as np

from benchmarks.baselines.popularity import Popularity
from benchmarks.baselines.recommender import Recommender
from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array


class PopularityWhenCold:
    """Another model, with all-time popularity for empty histories."""

    def __init__(self, model: Recommender) -> None:
        """Keeps the model."""
        self._model = model
        self._popularity = Popularity()
        self._num_events = np.zeros(0, np.int64)

    def fit(self, log: Log, seed: int) -> None:
        """Fits both."""
        self._model.fit(log, seed)
        self._popularity.fit(log, seed)
        self._num_events = np.diff(log.offsets)

    def score(self, requests: Requests) -> Float32Array:
        """Returns the model's scores, or the counts."""
        known = self._num_events[requests.users] > 0
        if known.all():
            return self._model.score(requests)
        return np.where(known[:, None], self._model.score(requests), self._popularity.score(requests))
