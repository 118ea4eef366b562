"""Which streamers can be shown at a moment: the schedule of live rooms as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.contracts.arrays import BoolArray, Int32Array, Int64Array
from recsys.contracts.schema import conform
from recsys.features.catalogue import Catalogue

_NEVER_MS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class RoomSchedule:
    """All known rooms, ordered by start.

    Attributes:
      room_ids: `num_rooms` ids.
      item_indexes: `[num_rooms]` int32, the streamers.
      start_ms: `[num_rooms]` int64, rising.
      end_ms: `[num_rooms]` int64; the largest int64 where the end is unknown.
    """

    room_ids: tuple[str, ...]
    item_indexes: Int32Array
    start_ms: Int64Array
    end_ms: Int64Array

    @classmethod
    def from_table(cls, rooms: pa.Table, catalogue: Catalogue) -> RoomSchedule:
        """Reads a contract table of rooms; rooms of streamers outside the catalogue are left out.

        Raises:
          ContractError: If columns are missing or of another type.
        """
        rooms = conform(rooms, "room").sort_by([("start_ms", "ascending"), ("room_id", "ascending")])
        indexes = catalogue.index_of(rooms.column("item_id").to_pylist())
        known = indexes > 0
        return cls(
            room_ids=tuple(np.asarray(rooms.column("room_id").to_pylist(), dtype=object)[known]),
            item_indexes=indexes[known],
            start_ms=rooms.column("start_ms").to_numpy()[known],
            end_ms=rooms.column("end_ms").fill_null(_NEVER_MS).to_numpy()[known],
        )

    def open_rooms(self, now_ms: int) -> dict[int, str]:
        """Returns the open room of each streamer who has one, as item index to room id.

        A streamer with several open rooms is represented by the one that started last.
        """
        started = int(np.searchsorted(self.start_ms, now_ms, side="right"))
        rows = np.flatnonzero(self.end_ms[:started] > now_ms)
        return {int(self.item_indexes[row]): self.room_ids[row] for row in rows}

    def open_items(self, now_ms: int, num_items: int) -> BoolArray:
        """Returns `[num_items + 1]` bool: whether the streamer has an open room at `now_ms`."""
        allowed = np.zeros(num_items + 1, np.bool_)
        allowed[list(self.open_rooms(now_ms))] = True
        return allowed
