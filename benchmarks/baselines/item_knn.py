"""ItemKNN: items are near that the same users chose.

Item-based Top-N Recommendation Algorithms, Deshpande and Karypis, TOIS 2004: cosine between columns, the nearest
neighbours of each item alone. The shrinkage is that of Bell and Koren, "Improved Neighborhood-based Collaborative
Filtering", KDD Cup 2007.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from benchmarks.baselines.profiles import count_profiles
from benchmarks.task import Log, Requests
from recsys.contracts.arrays import Float32Array


class ItemKnn:
    """Sums the similarities of a user's items to each candidate."""

    def __init__(self, num_neighbours: int, shrinkage: float) -> None:
        """Keeps the settings.

        Args:
          num_neighbours: Neighbours kept of each item.
          shrinkage: Added to the denominator of the cosine; pulls pairs of rare items towards 0.
        """
        self._num_neighbours = num_neighbours
        self._shrinkage = shrinkage
        self._profiles = sp.csr_matrix((0, 0), dtype=np.float32)
        self._similarity = sp.csr_matrix((0, 0), dtype=np.float32)

    def fit(self, log: Log, seed: int) -> None:
        """Counts pairs."""
        self._profiles = count_profiles(log)
        pairs = (self._profiles.T @ self._profiles).toarray()
        norms = np.sqrt(pairs.diagonal())
        similarity = pairs / np.maximum(norms[:, None] * norms[None, :] + self._shrinkage, 1e-9)
        np.fill_diagonal(similarity, 0.0)
        count = min(self._num_neighbours, log.num_items)
        # A stable order, so that of equally near items the same stay on every machine.
        columns = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
        rows = np.arange(log.num_items)[:, None]
        kept = np.zeros_like(similarity)
        kept[rows, columns] = similarity[rows, columns]
        # A row of `kept` holds the neighbours that vote for its item; a profile meets them as a column.
        self._similarity = sp.csr_matrix(kept.T)

    def score(self, requests: Requests) -> Float32Array:
        """Returns the sums."""
        return (self._profiles[requests.users] @ self._similarity).toarray()
