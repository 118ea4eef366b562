"""The log of one simulated device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsys.contracts.arrays import BoolArray, Int8Array, Int32Array, Int64Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS

CONSENTED, PRIVATE, HELDOUT = 0, 1, 2
_POSITIVE_CODES: Final = np.asarray([ACTION_CODES[action] for action in sorted(POSITIVE_ACTIONS)], np.int8)


@dataclass(frozen=True)
class UserLog:
    """Every event that one person's device holds, in time order.

    Attributes:
      item_indexes: `[num_events]` int32.
      actions: `[num_events]` int8, codes of `ACTION_CODES`.
      surfaces: `[num_events]` int8, codes of `SURFACE_CODES`.
      timestamps_ms: `[num_events]` int64.
      parts: `[num_events]` int8: consented, private or held out.
    """

    user_id: str
    tier: str
    item_indexes: Int32Array
    actions: Int8Array
    surfaces: Int8Array
    timestamps_ms: Int64Array
    parts: Int8Array

    @property
    def positive(self) -> BoolArray:
        """`[num_events]` bool: interest in a known item."""
        return np.isin(self.actions, _POSITIVE_CODES) & (self.item_indexes > 0)
