"""What a person was shown together, as far as impressions were logged, and what they chose of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from federated.simulation.user_log import UserLog
from recsys.contracts.arrays import BoolArray, Int32Array
from recsys.contracts.events import ACTION_CODES, Action

_GAP_MS: Final = 30 * 60 * 1_000
"""Impressions further apart than half an hour belong to different slates."""


@dataclass(frozen=True)
class Slate:
    """Items shown together and which of them were chosen.

    Attributes:
      first_row: Of the log.
      start_ms: Of the first impression.
      until_ms: Half an hour after the last one.
      item_indexes: `[num_shown]` int32.
      chosen: `[num_shown]` bool.
    """

    first_row: int
    start_ms: int
    until_ms: int
    item_indexes: Int32Array
    chosen: BoolArray


def find_slates(log: UserLog, part: int) -> list[Slate]:
    """Returns the impressions of one part of a log, cut where the person paused, oldest first.

    An item counts as chosen if the same slate has a positive.

    Args:
      log: Of one person.
      part: Consented, private or held out.
    """
    held = log.parts == part
    shown_rows = np.flatnonzero(held & (log.actions == ACTION_CODES[Action.IMPRESSION]) & (log.item_indexes > 0))
    if len(shown_rows) == 0:
        return []
    cuts = np.flatnonzero(np.diff(log.timestamps_ms[shown_rows]) > _GAP_MS) + 1
    slates = []
    for rows in np.split(shown_rows, cuts):
        start_ms, until_ms = int(log.timestamps_ms[rows[0]]), int(log.timestamps_ms[rows[-1]]) + _GAP_MS
        within = held & (log.timestamps_ms >= start_ms) & (log.timestamps_ms <= until_ms)
        items = np.unique(log.item_indexes[rows])
        disliked = log.item_indexes[within & (log.actions == ACTION_CODES[Action.DISLIKE])]
        chosen = np.isin(items, log.item_indexes[within & log.positive]) & ~np.isin(items, disliked)
        slates.append(Slate(int(rows[0]), start_ms, until_ms, items, chosen))
    return slates
