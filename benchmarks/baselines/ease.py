"""EASE^R: a linear item-to-item model in closed form.

Embarrassingly Shallow Autoencoders for Sparse Data, Steck, WWW 2019. Deviation: with `recency` the learned weights are
applied to a profile in which later choices weigh more; they are learned from the plain one as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from benchmarks.baselines.profiles import count_profiles, recency_profiles
from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array
from recsys.features.ease import weigh_ease


@dataclass(frozen=True)
class Recency:
    """See `recency_profiles`."""

    floor: float
    half_life: float


class Ease:
    """Weights B with a zero diagonal that best rebuild every profile X as X B."""

    def __init__(self, l2: float, recency: Recency | None = None) -> None:
        """Keeps the settings.

        Args:
          l2: Regularisation, λ of the paper.
          recency: Of the profiles that are scored; None scores the plain ones.
        """
        self._l2 = l2
        self._recency = recency
        self._profiles = sp.csr_matrix((0, 0), dtype=np.float32)
        self._weights = np.zeros((0, 0), np.float32)

    def fit(self, log: Log, seed: int) -> None:
        """Inverts the regularised Gram matrix, in float64."""
        chosen = count_profiles(log)
        gram = (chosen.T @ chosen).toarray().astype(np.float64)
        self._weights = weigh_ease(gram, self._l2).astype(np.float32)
        self.fold_in(log)

    def fold_in(self, log: Log) -> None:
        """Scores the users of another log from now on, by the same weights."""
        recency = self._recency
        if recency is None:
            self._profiles = count_profiles(log)
        else:
            self._profiles = recency_profiles(log, recency.floor, recency.half_life)

    def score(self, requests: Requests) -> Float32Array:
        """Returns the rebuilt profiles."""
        return self._profiles[requests.users] @ self._weights
