"""Held-out events of protocol E, as requests that a model without a device can answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from federated.simulation.user_log import HELDOUT, UserLog
from recsys.contracts.arrays import BoolArray, Int32Array
from recsys.contracts.events import SURFACE_CODES, Surface
from recsys.features.catalogue import Catalogue

_SURFACES: Final = {code: Surface(name) for name, code in SURFACE_CODES.items()}


@dataclass(frozen=True)
class HeldoutEvent:
    """What the device knows, and what the person chose next.

    Attributes:
      history: `[num]` int32 item indexes of all earlier positives, oldest first.
      target: Item index.
      surface: Where it was chosen.
    """

    history: Int32Array
    target: int
    surface: Surface

    def allowed(self, catalogue: Catalogue) -> BoolArray:
        """Returns `[num_items + 1]` bool: what is ranked, on the feed without what the person had already chosen."""
        allowed = catalogue.on_surface(self.surface).copy()
        if self.surface is Surface.FEED:
            allowed[self.history] = False
        return allowed


def heldout_events(log: UserLog, catalogue: Catalogue) -> Iterator[HeldoutEvent]:
    """Yields the held-out positives of one person whose item can be ranked, in the order of time."""
    rows = np.flatnonzero(log.positive)
    items = log.item_indexes[rows]
    for place in np.flatnonzero(log.parts[rows] == HELDOUT):
        target = int(items[place])
        surface = _SURFACES[int(catalogue.surfaces[target])]
        if surface is Surface.LIVE or target not in items[:place]:
            yield HeldoutEvent(items[:place], target, surface)
