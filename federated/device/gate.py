"""Which order a device shows: the cloud's, that of the global tower, or that of its own.

Decided on the device, by what the person chose later than anything that the device's own tower was trained on. One
order is shown as long as nothing speaks against it: the global tower's, which has proved itself on other people, or the
cloud's, which harms nobody. Another one must show itself: it is used only where its mean gain over that order lies more
than some standard errors above 0, because a person with few choices proves little. Of two that pass, the one with the
higher bound is used. After the rule of one standard error (Classification and Regression Trees, Breiman et al., 1984),
which prefers the simpler model. Deviations: the share of a standard error is a setting, and its variance holds one
imagined choice of typical deviation, so that two choices that agree by chance are no proof.

What the own tower was trained on says nothing about it, but judges the two others against each other as well as later
choices do: two orders are compared by the latest choices that both have a place for.

The gain of a choice is 1 / log2(rank + 2), NDCG's without a cut: a move from place 60 to 20 tells too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import numpy as np

from recsys.contracts.arrays import Float64Array, Int32Array
from recsys.metrics.ranking import ndcg_at

MIN_CHOICES: Final = 2
"""With fewer there is no deviation."""

TYPICAL_DEVIATION: Final = 0.1
"""Of one choice's difference in gain between two orders, over people (MovieLens 100K and the synthetic world)."""

_WHOLE_LIST: Final = 2**30


class Order(StrEnum):
    """Whose order is shown."""

    CLOUD = "cloud"
    GLOBAL = "global"
    PERSONAL = "personal"


def choose_order(ranks: Mapping[Order, Int32Array], margin: float, fallback: Order) -> Order:
    """Returns the order to show from now on.

    Args:
      ranks: For each order `[num]` int32, the place of what the person chose in the same lists (`MISSED` where the list
        lacked it), in the order of time; where one has fewer, these are the latest.
      margin: Standard errors by which the gain must exceed 0.
      fallback: What is shown where no other order passes.
    """
    gains = {order: ndcg_at(places, _WHOLE_LIST) for order, places in ranks.items()}
    usual = gains.pop(fallback)
    bounds = {order: lower_bound(_subtract(values, usual), margin) for order, values in gains.items()}
    best = max(sorted(bounds), key=lambda order: bounds[order], default=fallback)
    return best if bounds.get(best, 0.0) > 0 else fallback


def _subtract(gains: Float64Array, usual: Float64Array) -> Float64Array:
    count = min(len(gains), len(usual))
    return gains[len(gains) - count :] - usual[len(usual) - count :]


def lower_bound(differences: Float64Array, margin: float) -> float:
    """Returns the mean of `[num_choices]` float64 less `margin` standard errors; minus infinity for too few choices."""
    count = len(differences)
    if count < MIN_CHOICES:
        return -np.inf
    spread = np.square(differences - differences.mean()).sum() + TYPICAL_DEVIATION**2
    return float(differences.mean() - margin * np.sqrt(spread) / count)
