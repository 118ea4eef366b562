"""The private log: what a person did, on the device that they did it on."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.contracts.events import POSITIVE_ACTIONS, Action, Event, Surface
from recsys.contracts.schema import arrow_schema, conform
from recsys.errors import ContractError
from recsys.storage.atomic import write_file


class PrivateLog:
    """Events of one person, in the order of time.

    Law: `load(save(log))` holds the same events (values as float32, which is what the contract keeps); only the owner's
    events are taken; an event id is taken once.
    """

    def __init__(self, user_id: str, events: Iterable[Event] = ()) -> None:
        """Starts with the events given.

        Raises:
          ContractError: If an event is somebody else's.
        """
        self.user_id = user_id
        self._events: list[Event] = []
        self._ids: set[str] = set()
        for event in events:
            self.append(event)

    def __len__(self) -> int:
        """Events held."""
        return len(self._events)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events, oldest first."""
        return tuple(self._events)

    def append(self, event: Event) -> bool:
        """Takes an event at its place in time; returns False for one that is here already.

        Raises:
          ContractError: If it is somebody else's.
        """
        if event.user_id != self.user_id:
            raise ContractError(f"Expected an event of {self.user_id!r}, got one of {event.user_id!r}.")
        if event.event_id in self._ids:
            return False
        self._ids.add(event.event_id)
        place = len(self._events)
        while place and self._events[place - 1].timestamp_ms > event.timestamp_ms:
            place -= 1
        self._events.insert(place, event)
        return True

    def positives(self, count: int | None = None) -> list[str]:
        """Returns the items of interest, oldest first: the last `count`, or all where it is None."""
        items = [event.item_id for event in self._events if event.action in POSITIVE_ACTIONS]
        return items if count is None else items[max(len(items) - count, 0) :]

    def save(self, path: Path) -> None:
        """Writes the log as Parquet, in the columns of the contract, whole or not at all.

        Raises:
          WorkspaceError: If the disk is full or refuses; an earlier file is then as it was.
        """
        rows = [asdict(event) for event in self._events]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema("event")), buffer)
        write_file(path, buffer.getvalue(), mode=0o600)

    @classmethod
    def load(cls, user_id: str, path: Path) -> PrivateLog:
        """Reads what `save` wrote.

        Raises:
          ContractError: If there is no such file, or it holds other columns, an unlawful event or somebody else's.
        """
        try:
            rows = conform(pq.ParquetFile(path).read(), "event").to_pylist()
            return cls(user_id, map(_read_event, rows))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ContractError(f"Expected the private log of {user_id!r} in {path}, got: {error}") from error


def _read_event(row: dict[str, Any]) -> Event:
    return Event(**row | {"action": Action(row["action"]), "surface": Surface(row["surface"])})
