"""A raw log with the skew and the dirt of a real one, drawn fast enough for tens of millions of rows.

Rows come in the order of time. Activity of people is lognormal, popularity of items falls as a power of the rank, and
one robot does more than one in a hundred of all rows. One row in a hundred is unlawful (every reason of
`pipelines.prepare.validation` but broken text, which pandas cannot read), and one in a hundred is a copy of a row not
long before: sent again, some with a later time, a few under another person.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.dataset import raw_event_schema
from recsys.contracts.arrays import BoolArray, Float64Array, Int64Array
from recsys.contracts.events import MAX_ID_LENGTH, Action, Surface
from recsys.contracts.schema import arrow_schema

NUM_ITEMS: Final = 50_000
ROWS_PER_USER: Final = 50
"""On average."""

ROBOT_SHARE: Final = 0.012
UNLAWFUL_SHARE: Final = 0.01
COPY_SHARE: Final = 0.01
ROWS_PER_FILE: Final = 262_144

_NUM_CATEGORIES: Final = 40
_NUM_ROOMS: Final = 2_000
_LIVE_SHARE: Final = 0.2
_DAYS: Final = 90
_DAY_MS: Final = 86_400_000
_START_MS: Final = 1_700_000_000_000
_ACTIONS: Final = {
    Action.IMPRESSION: 0.62,
    Action.CLICK: 0.2,
    Action.LONG_VIEW: 0.08,
    Action.LIKE: 0.05,
    Action.RATING: 0.02,
    Action.GIFT: 0.01,
    Action.DISLIKE: 0.02,
}
_NO_POSITION: Final = -2
_NUM_UNKNOWN: Final = 100
"""Items that the log speaks of and the catalogue lacks."""

_NUM_UNLAWFUL_IDS: Final = 2
"""They stand before the lawful ones."""

_WORDS: Final = pa.array([*(action.value for action in _ACTIONS), "stare"])
_SURFACES: Final = pa.array([Surface.FEED.value, Surface.LIVE.value, "television"])
_ROOMS: Final = pa.array([f"room-{number}" for number in range(_NUM_ROOMS)])
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)

Columns = dict[str, Any]


def write_log(num_rows: int, seed: int, events: Path, items: Path) -> None:
    """Writes a log and its catalogue.

    Args:
      num_rows: Rows of the log, copies and unlawful ones included.
      seed: Equal seeds give equal rows.
      events: Folder of the log; made where it is not there.
      items: File of the catalogue.
    """
    rng = np.random.default_rng(seed)
    events.mkdir(parents=True, exist_ok=True)
    pq.write_table(_draw_items(rng), items, compression="zstd")
    world = _World(num_rows, rng)
    pool = raw_event_schema().empty_table()
    for number, first in enumerate(range(0, num_rows, ROWS_PER_FILE)):
        size = min(ROWS_PER_FILE, num_rows - first)
        num_copies = int(size * COPY_SHARE)
        fresh = world.draw(first, size - num_copies)
        pool = pa.concat_tables([pool, fresh])
        table = pa.concat_tables([fresh, _copy(pool, num_copies, world, rng)]).combine_chunks()
        pq.write_table(table, events / f"part-{number:05d}.parquet", compression="zstd")
        pool = fresh


class _World:
    """Who acts on what, how often."""

    def __init__(self, num_rows: int, rng: np.random.Generator) -> None:
        num_users = max(2, num_rows // ROWS_PER_USER)
        activity = rng.lognormal(sigma=1.3, size=num_users)
        activity[0] = ROBOT_SHARE / (1 - ROBOT_SHARE) * activity[1:].sum()
        popularity = rng.permutation(1.0 / (np.arange(NUM_ITEMS) + 10.0) ** 0.9)
        self._num_rows, self._rng = num_rows, rng
        self._users_to, self._items_to = _accumulate(activity), _accumulate(popularity)
        unlawful = pa.array(["", "x" * (MAX_ID_LENGTH + 1)])
        self._user_ids = pa.concat_arrays([unlawful, hex_ids(np.arange(num_users))])
        self._item_ids = pa.concat_arrays([unlawful, hex_ids(np.arange(NUM_ITEMS + _NUM_UNKNOWN))])

    def draw(self, first: int, size: int) -> pa.Table:
        """Returns rows number `first` up of the log."""
        columns = self._draw_lawful(first, size)
        _spoil(columns, np.flatnonzero(self._rng.random(size) < UNLAWFUL_SHARE), self._rng)
        ids = hex_ids(np.arange(first, first + size))
        arrays = {
            "event_id": pc.if_else(pa.array(columns["is_named"]), ids, pa.scalar(None, pa.string())),
            "user_id": self._user_ids.take(pa.array(columns["user_id"])),
            "item_id": self._item_ids.take(pa.array(columns["item_id"])),
            "action": _WORDS.take(pa.array(columns["action"])),
            "surface": _SURFACES.take(pa.array(columns["surface"])),
            "value": pa.array(columns["value"], pa.float32(), mask=np.isnan(columns["value"])),
            "timestamp_ms": pa.array(columns["timestamp_ms"]),
            "position": pa.array(columns["position"], pa.int16(), mask=columns["position"] == _NO_POSITION),
            "room_id": _ROOMS.take(pa.array(columns["room_id"], mask=columns["room_id"] < 0)),
        }
        return pa.table(arrays, schema=raw_event_schema())

    def draw_users(self, size: int) -> pa.Array:
        """Returns the ids of people, the busier the more often."""
        return self._user_ids.take(pa.array(self._draw_user_numbers(size)))

    def _draw_user_numbers(self, size: int) -> Int64Array:
        return _NUM_UNLAWFUL_IDS + np.searchsorted(self._users_to, self._rng.random(size))

    def _draw_lawful(self, first: int, size: int) -> Columns:
        rng = self._rng
        action = rng.choice(len(_ACTIONS), size, p=list(_ACTIONS.values()))
        is_live = rng.random(size) < _LIVE_SHARE
        needs_value = np.isin(action, [list(_ACTIONS).index(name) for name in (Action.RATING, Action.GIFT)])
        passed = (first + np.arange(size)) / self._num_rows
        return {
            "is_named": np.ones(size, np.bool_),
            "user_id": self._draw_user_numbers(size),
            "item_id": _NUM_UNLAWFUL_IDS + np.searchsorted(self._items_to, rng.random(size)),
            "action": action,
            "surface": is_live.astype(np.int64),
            "room_id": np.where(is_live, rng.integers(_NUM_ROOMS, size=size), -1),
            "value": np.where(needs_value, rng.integers(1, 6, size=size), np.nan),
            "position": np.where(action == 0, rng.integers(20, size=size), _NO_POSITION),
            "timestamp_ms": _START_MS + (passed * _DAYS * _DAY_MS).astype(np.int64) + rng.integers(60_000, size=size),
        }


def hex_ids(numbers: Int64Array) -> pa.Array:
    """Returns an id for each number, 16 hexadecimal digits: distinct for distinct numbers, in no order."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    mixed ^= mixed >> np.uint64(29)
    digits = mixed.astype(">u8").view(np.uint8).reshape(-1, 8)
    letters = _HEX[np.stack([digits >> 4, digits & 15], axis=-1)].reshape(-1)
    offsets = np.arange(0, 16 * len(numbers) + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(letters))


def _spoil(columns: Columns, rows: npt.NDArray[np.intp], rng: np.random.Generator) -> None:
    """Breaks one rule in each of the rows, in place."""
    by_rule = np.array_split(rng.permutation(rows), 11)
    columns["is_named"][by_rule[0]] = False
    columns["user_id"][by_rule[1]] = 0
    columns["item_id"][by_rule[2]] = 1
    columns["action"][by_rule[3]] = len(_ACTIONS)
    columns["surface"][by_rule[4]] = 2
    columns["timestamp_ms"][by_rule[5]] *= 1_000
    columns["action"][by_rule[6]] = list(_ACTIONS).index(Action.RATING)
    columns["value"][by_rule[6]] = np.nan
    columns["value"][by_rule[7]] = -1.0
    columns["position"][by_rule[8]] = -1
    columns["room_id"][by_rule[9]] = np.where(columns["room_id"][by_rule[9]] < 0, 0, -1)
    columns["item_id"][by_rule[10]] = _NUM_UNLAWFUL_IDS + NUM_ITEMS + rng.integers(_NUM_UNKNOWN, size=len(by_rule[10]))


def _copy(pool: pa.Table, size: int, world: _World, rng: np.random.Generator) -> pa.Table:
    """Returns rows that are sent again: half as they were, half later, one in twenty of all under another person."""
    table = pool.take(pa.array(rng.integers(pool.num_rows, size=size)))
    delays = pa.array(np.where(rng.random(size) < 0.5, rng.integers(1, 600_000, size=size), 0))
    is_other: BoolArray = rng.random(size) < 0.05
    users = pc.if_else(pa.array(is_other), world.draw_users(size), table.column("user_id").combine_chunks())
    times = pc.add(table.column("timestamp_ms"), delays)
    schema = table.schema
    table = table.set_column(schema.get_field_index("user_id"), schema.field("user_id"), users)
    return table.set_column(schema.get_field_index("timestamp_ms"), schema.field("timestamp_ms"), times)


def _draw_items(rng: np.random.Generator) -> pa.Table:
    ids = hex_ids(np.arange(NUM_ITEMS))
    labels = pa.array([f"category-{number:02d}" for number in range(_NUM_CATEGORIES)])
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 4, NUM_ITEMS))]).astype(np.int32)
    drawn = labels.take(pa.array(rng.integers(_NUM_CATEGORIES, size=offsets[-1])))
    columns = {
        "item_id": ids,
        "surface": pa.repeat(Surface.FEED.value, NUM_ITEMS),
        "title": ids,
        "categories": pa.ListArray.from_arrays(pa.array(offsets), drawn),
        "creator_id": pa.nulls(NUM_ITEMS, pa.string()),
        "published_ms": pa.nulls(NUM_ITEMS, pa.int64()),
    }
    return pa.table(columns, schema=arrow_schema("item"))


def _accumulate(weights: Float64Array) -> Float64Array:
    """Returns the upper bounds of chances, for a search of uniform draws."""
    sums = np.cumsum(weights)
    return sums / sums[-1]
