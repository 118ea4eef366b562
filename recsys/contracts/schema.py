"""One table of fields per contract, from which every Arrow schema derives.

A column that is not in `TABLES` does not exist: readers, pipelines, devices and the documentation all ask here.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from recsys.errors import ContractError


@dataclass(frozen=True)
class Field:
    """One column: its name, Arrow type, whether it may be null, and what it means."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


TABLES: dict[str, tuple[Field, ...]] = {
    "event": (
        Field("event_id", pa.string(), "unique; a second event with the same id is a duplicate"),
        Field("user_id", pa.string(), "who acted"),
        Field("item_id", pa.string(), "what was acted on; on the live surface the streamer, who outlasts the room"),
        Field("action", pa.string(), "one of `Action`"),
        Field("surface", pa.string(), "one of `Surface`: feed or live"),
        Field("value", pa.float32(), "rating given, gift value, seconds watched; null where the action has none", True),
        Field("timestamp_ms", pa.int64(), "when, in milliseconds since 1970-01-01 UTC"),
        Field("position", pa.int16(), "slot in the list that was shown, from 0; null where unknown", True),
        Field("room_id", pa.string(), "the live room; null on the feed surface", True),
    ),
    "item": (
        Field("item_id", pa.string(), "unique"),
        Field("surface", pa.string(), "where it can be shown: feed (an item) or live (a streamer)"),
        Field("title", pa.string(), "for people"),
        Field("categories", pa.list_(pa.string()), "content labels, most telling first; may be empty"),
        Field("creator_id", pa.string(), "who made it; null where unknown", True),
        Field("published_ms", pa.int64(), "when it appeared; null where unknown", True),
    ),
    "room": (
        Field("room_id", pa.string(), "unique"),
        Field("item_id", pa.string(), "the streamer"),
        Field("start_ms", pa.int64(), "opens"),
        Field("end_ms", pa.int64(), "closes (exclusive); null while it is open", True),
    ),
    "user": (
        Field("user_id", pa.string(), "unique"),
        Field("device_tier", pa.string(), "low, mid or high: what the person's device can carry"),
    ),
    "embedding": (
        Field("item_id", pa.string(), "unique"),
        Field("vector", pa.list_(pa.float32()), "the item tower's output, [dim] float32"),
    ),
}


def arrow_schema(table: str) -> pa.Schema:
    """Returns the Arrow schema of a contract table.

    Args:
      table: A key of `TABLES`.

    Raises:
      ContractError: If there is no such table.
    """
    if table not in TABLES:
        raise ContractError(f"Expected a table out of {sorted(TABLES)}, got {table!r}.")
    return pa.schema([pa.field(field.name, field.type, nullable=field.nullable) for field in TABLES[table]])


def conform(table: pa.Table, name: str) -> pa.Table:
    """Returns `table` with the columns of the contract, in its order and types; absent nullable ones become null.

    Args:
      table: Columns in any order; columns outside the contract are left out.
      name: A key of `TABLES`.

    Raises:
      ContractError: If a required column is absent, or a column cannot be cast to its type.
    """
    columns = []
    for field in arrow_schema(name):
        if field.name in table.column_names:
            columns.append(_cast(table.column(field.name), field, name))
        elif field.nullable:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            raise ContractError(
                f"Expected the column {field.name!r} in {name} data, got {table.column_names}. "
                "Add the column, or rename the one that holds it."
            )
    return pa.Table.from_arrays(columns, schema=arrow_schema(name))


def _cast(column: pa.ChunkedArray, field: pa.Field, name: str) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"Expected {field.type} in column {field.name!r} of {name} data, got {column.type}: {error}"
        ) from error
