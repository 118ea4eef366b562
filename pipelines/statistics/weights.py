"""Counts become weights, of which each source keeps the strongest.

Transitions weigh C[i, j] / (n_i * n_j ** b): the decayed number of times that j followed i, per choice of i, with the
popularity of j discounted. Co-occurrence is the cosine of the users of both items (Item-Based Collaborative Filtering
Recommendation Algorithms, Sarwar et al., WWW 2001). EASE is that of `recsys.features.ease`. Deviation from all: weights
keep 12 significant bits, which halves the file and leaves nothing of the order in which a linear algebra library adds.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from pipelines.statistics.pairs import UNIT, PairCounts
from recsys.contracts.arrays import Float32Array, Float64Array, Int64Array
from recsys.features.ease import weigh_ease
from recsys.features.item_to_item import ITEM_TO_ITEM_SCHEMA

_SIGNIFICANT: Final = 1 << 12


def weigh_transitions(pairs: PairCounts, num_choices: Int64Array, popularity_exponent: float) -> Float64Array:
    """Returns the weight of each pair, `[num_pairs]` float64.

    Args:
      pairs: What `count_transitions` counted, all of it.
      num_choices: `[width]` int64, how often each item was chosen.
      popularity_exponent: b.
    """
    sources, targets = np.divmod(pairs.keys, len(num_choices))
    return pairs.counts / UNIT / (num_choices[sources] * num_choices[targets] ** popularity_exponent)


def weigh_co_occurrences(pairs: PairCounts, num_users: Int64Array) -> Float64Array:
    """Returns the cosine of each pair, `[num_pairs]` float64, 0 on the diagonal.

    Args:
      pairs: What `count_co_occurrences` counted, all of it.
      num_users: `[width]` int64, the users of each item.
    """
    sources, targets = np.divmod(pairs.keys, len(num_users))
    cosines = pairs.counts / np.sqrt(num_users[sources] * num_users[targets].astype(np.float64))
    return np.where(sources == targets, 0.0, cosines)


def solve_ease(pairs: PairCounts, width: int, regularisation: float) -> tuple[Int64Array, Float64Array]:
    """Returns the items that anyone chose, `[num]` int64, rising, and the weights of EASE among them, `[num, num]`.

    Args:
      pairs: What `count_co_occurrences` counted, all of it: the Gram matrix.
      width: Number of item indexes.
      regularisation: Lambda.
    """
    sources, targets = np.divmod(pairs.keys, width)
    items = sources[np.diff(sources, prepend=-1) > 0]
    gram = np.zeros((len(items), len(items)))
    gram[np.searchsorted(items, sources), np.searchsorted(items, targets)] = pairs.counts
    return items, weigh_ease(gram, regularisation)


def keep_strongest(kind: str, keys: Int64Array, weights: Float64Array, width: int, max_targets: int) -> pa.Table:
    """Returns a table of `ITEM_TO_ITEM_SCHEMA` with a row per source that has a weight.

    Args:
      kind: One of `KINDS`.
      keys: `[num_pairs]` int64, strictly rising.
      weights: `[num_pairs]` float64; zeros are left out.
      width: Number of item indexes.
      max_targets: Targets kept of each source, those of the largest absolute weight, and of equal ones the lowest.
    """
    rounded = _round(weights)
    keys, rounded = keys[rounded != 0], rounded[rounded != 0]
    sources = keys // width
    starts = np.flatnonzero(np.diff(sources, prepend=-1))
    sources = sources[starts]
    ends = np.append(starts, len(keys))[1:]
    kept = [
        start + np.sort(np.argsort(-np.abs(rounded[start:end]), kind="stable")[:max_targets])
        for start, end in zip(starts, ends, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in kept])]).astype(np.int32)
    rows = np.concatenate([np.zeros(0, np.int64), *kept])
    lists = [
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=ITEM_TO_ITEM_SCHEMA.field(name).type)
        for name, values in (("targets", (keys[rows] % width).astype(np.int32)), ("weights", rounded[rows]))
    ]
    columns = [pa.array([kind] * len(sources), pa.string()), pa.array(sources.astype(np.int32)), *lists]
    return pa.Table.from_arrays(columns, schema=ITEM_TO_ITEM_SCHEMA)


def _round(weights: Float64Array) -> Float32Array:
    mantissa, exponent = np.frexp(weights)
    return np.ldexp(np.round(mantissa * _SIGNIFICANT) / _SIGNIFICANT, exponent).astype(np.float32)
