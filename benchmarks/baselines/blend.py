"""Blend: transitions for order, EASE^R for taste, each list standardised per user, then added up."""

from __future__ import annotations

from benchmarks.baselines.ease import Ease
from benchmarks.baselines.transitions import Transitions
from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array
from recsys.features.history import standardise


class Blend:
    """Transitions + half of (EASE with recency + EASE)."""

    def __init__(self, transitions: Transitions, recent: Ease, plain: Ease) -> None:
        """Keeps the three models."""
        self._transitions = transitions
        self._recent = recent
        self._plain = plain

    def fit(self, log: Log, seed: int) -> None:
        """Fits the three."""
        for model in (self._transitions, self._recent, self._plain):
            model.fit(log, seed)

    def fold_in(self, log: Log) -> None:
        """Scores the users of another log from now on, by the three as they were fitted."""
        for model in (self._transitions, self._recent, self._plain):
            model.fold_in(log)

    def score(self, requests: Requests) -> Float32Array:
        """Returns the sum."""
        taste = standardise(self._recent.score(requests)) + standardise(self._plain.score(requests))
        return standardise(self._transitions.score(requests)) + 0.5 * taste
