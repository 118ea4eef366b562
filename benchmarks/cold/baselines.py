"""What can be said of an unseen item without a model: how popular its categories are, and who likes them."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.features.catalogue import Catalogue


def category_popularity(catalogue: Catalogue) -> Float32Array:
    """Returns `[num_items + 1]` float32: an item's own positives or, where it has none, those of its categories.

    These are the mean over its categories of the mean positives of the items that training saw in each.
    """
    seen = catalogue.positives > 0
    totals = np.zeros((2, catalogue.num_categories + 1))
    for labels in catalogue.categories.T:
        np.add.at(totals[0], labels[seen], catalogue.positives[seen])
        np.add.at(totals[1], labels[seen], 1.0)
    means = totals[0] / np.maximum(totals[1], 1.0)
    means[0] = 0.0
    expected = means[catalogue.categories].sum(axis=1) / _num_labels(catalogue)
    return np.where(seen, catalogue.positives, expected).astype(np.float32)


def history_affinity(catalogue: Catalogue, history: Int32Array) -> Float32Array:
    """Returns `[num_items + 1]` float32: the share of a history that bears an item's categories, meaned over these.

    Args:
      catalogue: Categories.
      history: `[num]` int32 item indexes.
    """
    counts = np.bincount(catalogue.categories[history].ravel(), minlength=catalogue.num_categories + 1)
    shares = counts / max(len(history), 1)
    shares[0] = 0.0
    return (shares[catalogue.categories].sum(axis=1) / _num_labels(catalogue)).astype(np.float32)


def _num_labels(catalogue: Catalogue) -> Float32Array:
    return np.maximum((catalogue.categories > 0).sum(axis=1), 1).astype(np.float32)
