"""What the server makes of sums over devices: tables that every device downloads.

Transitions as in `benchmarks/baselines/transitions.py`; tastes are EASE^R (`recsys/features/ease.py`), whose weights
follow from the Gram matrix of all histories, which is a sum over people. Deviation: the sums are of clipped and rounded
counts.
"""

from __future__ import annotations

import numpy as np

from federated.device.contribution import num_pairs
from federated.device.retrieval import SharedTables, pack_table
from recsys.config.federated import StrictSettings
from recsys.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from recsys.errors import FederationError
from recsys.features.ease import weigh_ease


def choose_items(items: Int64Array, min_devices: int) -> Int32Array:
    """Returns the items that enough devices chose, `[num_kept]` int32, the rarest first.

    Args:
      items: `[num_items]` int64, the sum of `count_items`.
      min_devices: How many are enough.

    Raises:
      FederationError: If they are fewer than two.
    """
    kept = np.flatnonzero(items >= min_devices).astype(np.int32)
    if len(kept) < 2:
        raise FederationError(
            f"Expected two items or more that {min_devices} devices chose, got {len(kept)}. Lower `strict.min_devices`."
        )
    return kept[np.argsort(items[kept], kind="stable")]


def build_tables(
    items: Int64Array, kept: Int32Array, transitions: Int64Array, pairs: Int64Array, settings: StrictSettings
) -> SharedTables:
    """Returns the tables.

    Args:
      items: `[num_items]` int64, the sum of `count_items`.
      kept: `[num_kept]` int32, what the other sums are about.
      transitions: `[num_kept ** 2]` int64, the sum of `count_transitions`.
      pairs: `[num_pairs]` int64, the sum of `count_together`.
      settings: Of the scores.

    Raises:
      FederationError: If the sums are of different catalogues.
    """
    num_items = len(kept)
    if len(transitions) != num_items**2 or len(pairs) != num_pairs(num_items):
        raise FederationError(
            f"Expected sums over {num_items} items, got {len(transitions)} cells of transitions and {len(pairs)} of "
            "pairs. Sum them over one catalogue."
        )
    gram = fill_gram(pairs, num_items)
    return SharedTables(
        popularity=items.astype(np.float32),
        kept=kept,
        follows=pack_table(normalise(transitions.reshape(num_items, num_items), items[kept], settings.popularity)),
        recent_taste=pack_table(weigh_ease(gram.copy(), settings.recency_ease_l2).astype(np.float32)),
        taste=pack_table(weigh_ease(gram, settings.ease_l2).astype(np.float32)),
    )


def normalise(transitions: Int64Array, items: Int64Array, popularity: float) -> Float32Array:
    """Returns `[num_items, num_items]` float32: C[i, j] / (n_i * n_j ** popularity), up to one factor for all."""
    counts = np.maximum(items, 1).astype(np.float64)
    votes: Float32Array = (transitions / counts[:, None] / counts**popularity).astype(np.float32)
    return votes


def fill_gram(pairs: Int64Array, num_items: int) -> Float64Array:
    """Returns `[num_items, num_items]` float64, symmetric: how many people chose both."""
    gram = np.zeros((num_items, num_items), np.float64)
    gram[np.triu_indices(num_items)] = pairs
    return gram + np.triu(gram, 1).T
