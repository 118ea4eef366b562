"""iALS: factors of users and items by alternating least squares, absent pairs counting a little.

Collaborative Filtering for Implicit Feedback Datasets, Hu, Koren and Volinsky, ICDM 2008, as the library `implicit`
has it (conjugate gradients: Takács, Pilászy and Tikk, "Applications of the Conjugate Gradient Method for Implicit
Feedback Collaborative Filtering", RecSys 2011).
"""

from __future__ import annotations

import numpy as np

from benchmarks.baselines.profiles import count_profiles
from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array


class Ials:
    """The only baseline that draws: its factors start at random."""

    def __init__(self, factors: int, l2: float, alpha: float, iterations: int) -> None:
        """Keeps the settings.

        Args:
          factors: Length of a factor.
          l2: Regularisation.
          alpha: Weight of a chosen pair; one that was not chosen weighs 1.
          iterations: Passes over users and items.
        """
        self._factors = factors
        self._l2 = l2
        self._alpha = alpha
        self._iterations = iterations
        self._users = np.zeros((0, factors), np.float32)
        self._items = np.zeros((0, factors), np.float32)

    def fit(self, log: Log, seed: int) -> None:
        """Alternates."""
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        # One thread: sums then come in one order. The library slows down where BLAS has threads of its own.
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=self._factors,
                regularization=self._l2,
                alpha=self._alpha,
                iterations=self._iterations,
                random_state=seed,
                num_threads=1,
            )
            model.fit(count_profiles(log), show_progress=False)
        self._users, self._items = model.user_factors, model.item_factors

    def score(self, requests: Requests) -> Float32Array:
        """Returns the products of factors."""
        return self._users[requests.users] @ self._items.T
