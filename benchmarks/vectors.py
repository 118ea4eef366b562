"""Vectors to search in: one world that resembles a tower's, and one that has no structure at all.

Three figures are copied of an item tower that was trained on MovieLens 1M (3,416 vectors of 64 numbers): the
participation ratio of its covariance (29; eigenvalues that fall as rank^-0.7 have 28), the share of the variance that
256 k-means clusters leave within (0.47, and 0.63 of a plain Gaussian of the same covariance), and the spread of the
norms (the last decile 1.45 × the first). Queries come from the same mixture: a trained query lies where the wanted
items lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from recsys.contracts.arrays import Float32Array, Float64Array

ITEMS_PER_CLUSTER: Final = 250
WITHIN_SHARE: Final = 0.5
_EIGENVALUE_POWER: Final = -0.7
_POPULARITY_POWER: Final = -0.5
"""Weight of a cluster by its rank: some are ten times as large as others."""

Draw = Callable[[int, int, int, int], tuple[Float32Array, Float32Array]]


def draw_clustered(num_items: int, num_queries: int, dim: int, seed: int) -> tuple[Float32Array, Float32Array]:
    """Draws from a mixture of Gaussians with a common, anisotropic covariance.

    Args:
      num_items: Size of the catalogue.
      num_queries: Of fresh draws.
      dim: Length of a vector.
      seed: Of all draws.

    Returns:
      Item vectors `[num_items + 1, dim]` float32, row 0 zero, and queries `[num_queries, dim]` float32.
    """
    rng = np.random.default_rng(seed)
    deviations = np.arange(1, dim + 1) ** (_EIGENVALUE_POWER / 2)
    deviations /= np.linalg.norm(deviations)
    num_clusters = max(1, num_items // ITEMS_PER_CLUSTER)
    centres = rng.normal(size=(num_clusters, dim)) * deviations * np.sqrt(1 - WITHIN_SHARE)
    weights = np.arange(1.0, num_clusters + 1) ** _POPULARITY_POWER
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]

    def draw(count: int) -> Float64Array:
        clusters = rng.choice(num_clusters, count, p=weights / weights.sum())
        return (centres[clusters] + rng.normal(size=(count, dim)) * deviations * np.sqrt(WITHIN_SHARE)) @ rotation

    return _pad(draw(num_items)), draw(num_queries).astype(np.float32)


def draw_random(num_items: int, num_queries: int, dim: int, seed: int) -> tuple[Float32Array, Float32Array]:
    """As `draw_clustered`, but every number is an independent normal: nothing for an index to learn."""
    rng = np.random.default_rng(seed)
    return _pad(rng.normal(size=(num_items, dim))), rng.normal(size=(num_queries, dim)).astype(np.float32)


WORLDS: Final[dict[str, Draw]] = {"clustered": draw_clustered, "random": draw_random}


def _pad(rows: Float64Array) -> Float32Array:
    return np.concatenate([np.zeros((1, rows.shape[1]), np.float32), rows.astype(np.float32)])
