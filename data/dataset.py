"""What every reader and generator returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys.contracts.schema import arrow_schema, conform

if TYPE_CHECKING:
    from data.truth import Truth


@dataclass(frozen=True, eq=False)
class Dataset:
    """Events with the catalogue that they speak of.

    Attributes:
      name: A key of `data.registry.DATASETS`.
      events: Columns of the contract "event", every one nullable: a row that breaks the event's law is kept as it
        came, for `prepare` to set aside with its reason.
      items: Contract "item".
      rooms: Contract "room"; no rows where nothing is live.
      users: Contract "user".
      truth: The true relevance, where the world is synthetic.
      notes: What a person should know of this reading (rows left out, fields unknown).
    """

    name: str
    events: pa.Table
    items: pa.Table
    rooms: pa.Table
    users: pa.Table
    truth: Truth | None = None
    notes: tuple[str, ...] = ()


def raw_event_schema() -> pa.Schema:
    """Returns the event columns, all nullable: the schema of a log before anyone has judged it."""
    return pa.schema([field.with_nullable(True) for field in arrow_schema("event")])


def raw_events(table: pa.Table) -> pa.Table:
    """Returns `table` with the columns of the event contract, in order and type, nulls allowed.

    Raises:
      ContractError: If a required column is absent, or a column cannot be cast to its type.
    """
    return pa.Table.from_arrays(conform(table, "event").columns, schema=raw_event_schema())


def empty_rooms() -> pa.Table:
    """Returns a room table without rows."""
    return arrow_schema("room").empty_table()
