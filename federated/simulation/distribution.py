"""How quality is spread over people: counts in bins, for all and per device tier, in which nobody can be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from recsys.contracts.arrays import BoolArray, Float64Array

BASELINE: Final = "cloud_only"
ALL: Final = "all"

_NDCG_EDGES: Final = np.linspace(0.0, 1.0, 21)
_GAIN_EDGES: Final = np.linspace(-1.0, 1.0, 42)
"""An odd number of bins, so that the middle one holds those for whom nothing changed."""


def distribute(ndcg: Mapping[str, Float64Array], tiers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns, JSON-ready, how many people have which NDCG@10, and which gain over the cloud alone.

    `ndcg_at_10` and `gain_over_cloud_only`, each with `edges` (of its bins, the last one closed) and `counts`: group
    (`all`, or a device tier) to arm to the number of people in each bin.

    Args:
      ndcg: arm to `[num_users]` float64, from 0 to 1; the cloud alone among them.
      tiers: `num_users` device tiers.
    """
    gains = {arm: values - ndcg[BASELINE] for arm, values in ndcg.items() if arm != BASELINE}
    groups = {ALL: np.ones(len(tiers), np.bool_)}
    groups |= {tier: np.asarray(tiers) == tier for tier in sorted(set(tiers))}
    return {
        "ndcg_at_10": _count(ndcg, groups, _NDCG_EDGES),
        "gain_over_cloud_only": _count(gains, groups, _GAIN_EDGES),
    }


def _count(arms: Mapping[str, Float64Array], groups: Mapping[str, BoolArray], edges: Float64Array) -> dict[str, Any]:
    counts = {
        group: {arm: np.histogram(values[rows], edges)[0].tolist() for arm, values in arms.items()}
        for group, rows in groups.items()
    }
    return {"edges": np.round(edges, 6).tolist(), "counts": counts}
