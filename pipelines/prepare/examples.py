"""Lawful, distinct events of whole users become examples."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.prepare.validation import ITEM_INDEX
from recsys.contracts.arrays import Int8Array, Int64Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS, SURFACE_CODES

TRAIN: Final = 0
VALIDATION: Final = 1
"""Values of `period`."""

_POSITIVE_WORDS: Final = pa.array(sorted(action.value for action in POSITIVE_ACTIONS))

MIN_ROWS_TO_VALIDATE: Final = 3
"""Users with fewer events are all training."""

EXAMPLE_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_index", pa.int32(), nullable=False),
        pa.field("action", pa.int8(), nullable=False),
        pa.field("surface", pa.int8(), nullable=False),
        pa.field("value", pa.float32()),
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("position", pa.int16()),
        pa.field("period", pa.int8(), nullable=False),
    ]
)
"""`events/part-*.parquet`: rows by (user_id, timestamp_ms, event_id); a user lies in one part."""


def order_by_user(table: pa.Table) -> pa.Table:
    """Returns the rows by (user_id, timestamp_ms, event_id)."""
    return table.sort_by([(name, "ascending") for name in ("user_id", "timestamp_ms", "event_id")])


def limit_users(table: pa.Table, max_events: int) -> tuple[pa.Table, pa.Table]:
    """Divides ordered rows into the last `max_events` of each user and those before them."""
    is_kept = _rows_to_end(table) <= max_events
    return table.filter(pa.array(is_kept)), table.filter(pa.array(~is_kept))


def assign_periods(table: pa.Table, validation_fraction: float, max_positives: int) -> Int8Array:
    """Returns the period of each ordered row, `[num_rows]` int8.

    The last `validation_fraction` of a user's rows (rounded down, but one at least) is validation, but no more of them
    than hold `max_positives` positives; users with fewer than `MIN_ROWS_TO_VALIDATE` rows are all training.
    """
    num_rows = _rows_of_user(table)
    num_validation = np.maximum(np.floor(num_rows * validation_fraction + 1e-9).astype(np.int64), 1)
    num_validation[num_rows < MIN_ROWS_TO_VALIDATE] = 0
    late = (_rows_to_end(table) <= num_validation) & (_positives_to_end(table) <= max_positives)
    return np.where(late, VALIDATION, TRAIN).astype(np.int8)


def assign_periods_by_time(table: pa.Table, validation_from_ms: int) -> Int8Array:
    """Returns the period of each row, `[num_rows]` int8: what happened from a moment on is validation."""
    return np.where(table.column("timestamp_ms").to_numpy() >= validation_from_ms, VALIDATION, TRAIN).astype(np.int8)


def encode(table: pa.Table, periods: Int8Array) -> pa.Table:
    """Returns lawful events as a table of `EXAMPLE_SCHEMA`."""
    columns = {name: table.column(name) for name in EXAMPLE_SCHEMA.names if name in table.column_names}
    columns[ITEM_INDEX] = table.column(ITEM_INDEX)
    columns["action"] = _encode_words(table.column("action"), ACTION_CODES)
    columns["surface"] = _encode_words(table.column("surface"), SURFACE_CODES)
    columns["period"] = pa.array(periods)
    return pa.table([columns[name] for name in EXAMPLE_SCHEMA.names], schema=EXAMPLE_SCHEMA)


def count_users(table: pa.Table) -> int:
    """Returns how many users ordered rows have."""
    return len(_first_rows(table))


def _encode_words(column: pa.ChunkedArray, codes: dict[str, int]) -> pa.ChunkedArray:
    # The codes are the positions in the dictionary, by contract (see `recsys.contracts.events`).
    return pc.index_in(column, value_set=pa.array(list(codes))).cast(pa.int8())


def _first_rows(table: pa.Table) -> npt.NDArray[np.intp]:
    """Where each user's rows begin."""
    users = table.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy()
    return np.flatnonzero(np.diff(users, prepend=-1))


def _rows_of_user(table: pa.Table) -> Int64Array:
    """How many rows the user of each row has, `[num_rows]` int64."""
    lengths = np.diff(_first_rows(table), append=table.num_rows)
    return np.repeat(lengths, lengths)


def _rows_to_end(table: pa.Table) -> Int64Array:
    """How many rows of the same user remain, the row itself counted, `[num_rows]` int64."""
    first = _first_rows(table)
    lengths = np.diff(first, append=table.num_rows)
    return np.repeat(first + lengths, lengths) - np.arange(table.num_rows)


def _positives_to_end(table: pa.Table) -> Int64Array:
    """How many positives of the same user remain, that of the row counted, `[num_rows]` int64."""
    is_positive = pc.is_in(table.column("action"), value_set=_POSITIVE_WORDS).to_numpy()
    before = np.concatenate([[0], np.cumsum(is_positive)])
    ends = np.arange(table.num_rows) + _rows_to_end(table)
    return before[ends] - before[:-1]
