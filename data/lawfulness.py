"""Which raw events keep the law of `recsys.contracts.events.Event`, for a whole table at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.contracts.arrays import BoolArray
from recsys.contracts.events import (
    ACTION_CODES,
    MAX_ID_LENGTH,
    MAX_TIMESTAMP_MS,
    MIN_TIMESTAMP_MS,
    SURFACE_CODES,
    Action,
    Surface,
)


def find_lawful(events: pa.Table) -> BoolArray:
    """Returns `[num_events]` bool: whether the row could be made an `Event`.

    Args:
      events: Raw events (see `data.dataset.raw_event_schema`).
    """
    checks = [_has_id(events.column(name)) for name in ("event_id", "user_id", "item_id")]
    checks.append(pc.is_in(events.column("action"), value_set=pa.array(list(ACTION_CODES))))
    checks.append(pc.is_in(events.column("surface"), value_set=pa.array(list(SURFACE_CODES))))
    time = events.column("timestamp_ms")
    checks.append(pc.and_(pc.greater_equal(time, MIN_TIMESTAMP_MS), pc.less(time, MAX_TIMESTAMP_MS)))
    checks.append(_has_lawful_value(events))
    checks.append(pc.fill_null(pc.greater_equal(events.column("position"), 0), True))
    room = events.column("room_id")
    is_live = pc.equal(events.column("surface"), Surface.LIVE.value)
    checks.append(pc.equal(pc.is_valid(room), is_live))
    return np.logical_and.reduce([pc.fill_null(check, False).to_numpy().astype(np.bool_) for check in checks])


def _has_id(column: pa.ChunkedArray) -> pa.ChunkedArray:
    length = pc.utf8_length(column)
    return pc.and_(pc.greater(length, 0), pc.less_equal(length, MAX_ID_LENGTH))


def _has_lawful_value(events: pa.Table) -> pa.ChunkedArray:
    value = events.column("value")
    needs_value = pc.is_in(events.column("action"), value_set=pa.array([Action.RATING.value, Action.GIFT.value]))
    sound = pc.and_(pc.is_finite(value), pc.greater_equal(value, 0.0))
    return pc.if_else(pc.is_valid(value), sound, pc.invert(needs_value))
