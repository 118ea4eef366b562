"""The law of `recsys.contracts.events.Event` for whole tables, with a reason for each row that breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.prepare.source import GARBLED
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

REASON: Final = "reason"
ITEM_INDEX: Final = "item_index"

REASONS: Final = (
    "text: expected UTF-8",
    f"event_id: expected 1 to {MAX_ID_LENGTH} characters",
    f"user_id: expected 1 to {MAX_ID_LENGTH} characters",
    f"item_id: expected 1 to {MAX_ID_LENGTH} characters",
    f"action: expected one of {', '.join(ACTION_CODES)}",
    f"surface: expected one of {', '.join(SURFACE_CODES)}",
    f"timestamp_ms: expected {MIN_TIMESTAMP_MS} to {MAX_TIMESTAMP_MS} (is the unit milliseconds?)",
    "value: expected one with a rating and a gift",
    "value: expected finite and not negative",
    "position: expected from 0 up",
    "room_id: expected one on the live surface and none on the feed",
    "unknown item: expected one of the catalogue",
)
"""Why a row is set aside, in the order in which the rules are asked; the first that is broken is given."""


def validate(table: pa.Table, item_ids: pa.Array) -> tuple[pa.Table, pa.Table]:
    """Divides raw events into lawful ones and the others.

    Args:
      table: Raw events with the column `garbled` (see `pipelines.prepare.source`).
      item_ids: Ids of the catalogue, sorted.

    Returns:
      The lawful rows, with `item_index` int32 (row in `item_ids` + 1), and the others, with `reason`; both
      without `garbled`.
    """
    indexes = pc.index_in(table.column("item_id"), value_set=item_ids)
    broken = [*_broken_by_event(table), indexes.is_null().to_numpy()]
    is_lawful = ~np.logical_or.reduce(broken)
    codes = np.select(broken, range(len(broken)), 0)[~is_lawful]
    reasons = pa.array(REASONS).take(pa.array(codes, pa.int32()))
    table = table.drop_columns([GARBLED])
    item_index = pc.add(indexes.filter(pa.array(is_lawful)), pa.scalar(1, pa.int32()))
    return (
        table.filter(pa.array(is_lawful)).append_column(ITEM_INDEX, item_index),
        table.filter(pa.array(~is_lawful)).append_column(REASON, reasons),
    )


def _broken_by_event(table: pa.Table) -> Iterator[BoolArray]:
    """Yields `[num_rows]` bool per rule of `REASONS` but the last: where it is broken."""
    yield table.column(GARBLED).to_numpy()
    for name in ("event_id", "user_id", "item_id"):
        length = pc.utf8_length(table.column(name))
        yield _fails(pc.and_(pc.greater(length, 0), pc.less_equal(length, MAX_ID_LENGTH)))
    action, surface = table.column("action"), table.column("surface")
    yield _fails(pc.is_in(action, value_set=pa.array(list(ACTION_CODES))))
    yield _fails(pc.is_in(surface, value_set=pa.array(list(SURFACE_CODES))))
    time = table.column("timestamp_ms")
    yield _fails(pc.and_(pc.greater_equal(time, MIN_TIMESTAMP_MS), pc.less(time, MAX_TIMESTAMP_MS)))
    value = table.column("value")
    needs_value = pc.is_in(action, value_set=pa.array([Action.RATING.value, Action.GIFT.value]))
    yield _fails(pc.or_(pc.is_valid(value), pc.invert(needs_value)))
    sound = pc.and_(pc.is_finite(value), pc.greater_equal(value, 0.0))
    yield _fails(pc.or_kleene(pc.is_null(value), sound))
    position = table.column("position")
    yield _fails(pc.or_kleene(pc.is_null(position), pc.greater_equal(position, 0)))
    yield _fails(pc.equal(pc.is_valid(table.column("room_id")), pc.equal(surface, Surface.LIVE.value)))


def _fails(holds: pa.ChunkedArray) -> BoolArray:
    """Where a condition does not hold; a missing answer is no."""
    return ~pc.fill_null(holds, False).to_numpy().astype(np.bool_)
