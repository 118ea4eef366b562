"""Item transitions: what follows what, soon.

A Markov chain over items with decaying higher orders, in the spirit of FPMC's counts (Rendle, Freudenthaler and
Schmidt-Thieme, "Factorizing Personalized Markov Chains for Next-basket Recommendation", WWW 2010), without factors.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from benchmarks.baselines.profiles import recency_profiles
from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array


class Transitions:
    """C[i, j] counts j following i, nearer ones more; the last choices of a user vote with their rows."""

    def __init__(self, window: int, decay: float, half_life: float, popularity: float) -> None:
        """Keeps the settings.

        Args:
          window: Largest lag between two choices that counts.
          decay: A pair at lag l counts decay ** (l - 1).
          half_life: Of the profile, in choices.
          popularity: Power of a candidate's count that its score is divided by.
        """
        self._window = window
        self._decay = decay
        self._half_life = half_life
        self._popularity = popularity
        self._profiles = sp.csr_matrix((0, 0), dtype=np.float32)
        self._votes = sp.csr_matrix((0, 0), dtype=np.float32)

    def fit(self, log: Log, seed: int) -> None:
        """Counts the pairs of each history."""
        counts = np.maximum(np.bincount(log.items, minlength=log.num_items), 1).astype(np.float64)
        pairs = count_transitions(log, self._window, self._decay)
        self._votes = (sp.diags(1.0 / counts) @ pairs @ sp.diags(counts**-self._popularity)).astype(np.float32).tocsr()
        self.fold_in(log)

    def fold_in(self, log: Log) -> None:
        """Scores the users of another log from now on, by the pairs that were counted."""
        self._profiles = recency_profiles(log, 0.0, self._half_life)

    def score(self, requests: Requests) -> Float32Array:
        """Returns the weighted votes."""
        return (self._profiles[requests.users] @ self._votes).toarray()


def count_transitions(log: Log, window: int, decay: float) -> sp.csr_matrix:
    """Returns `[num_items, num_items]` float64: how often the column follows the row within a history."""
    users = log.users
    shape = (log.num_items, log.num_items)
    total = sp.csr_matrix(shape, dtype=np.float64)
    for lag in range(1, window + 1):
        same = users[:-lag] == users[lag:]
        first, second = log.items[:-lag][same], log.items[lag:][same]
        total += sp.coo_matrix((np.full(len(first), decay ** (lag - 1)), (first, second)), shape).tocsr()
    return total
