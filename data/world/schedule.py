"""Live rooms: who streams when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.world.clock import DAY_MS, HOUR_MS, MINUTE_MS, WORLD_START_MS, draw_time_of_day
from recsys.contracts.arrays import Int64Array
from recsys.contracts.schema import arrow_schema

_DAILY_SHARE = 0.75
"""Probability that a streamer goes live on a given day."""

_NEVER = np.int64(2**62)


@dataclass(frozen=True, eq=False)
class Schedule:
    """At most one room a streamer a day; a room begins on its day and lasts less than one.

    Attributes:
      starts_ms: `[num_streamers, num_days]` int64, far in the future where there is no room.
      ends_ms: `[num_streamers, num_days]` int64, exclusive.
    """

    starts_ms: Int64Array
    ends_ms: Int64Array

    def open_days(self, from_ms: Int64Array, until_ms: Int64Array) -> Int64Array:
        """Returns the day of the room that is open all through a time, per request and streamer.

        Args:
          from_ms: `[num_requests]` int64.
          until_ms: `[num_requests]` int64, inclusive.

        Returns:
          `[num_requests, num_streamers]` int64, -1 where the streamer has no such room.
        """
        day = (from_ms - WORLD_START_MS) // DAY_MS
        found = np.full((len(from_ms), len(self.starts_ms)), -1, np.int64)
        for candidate in (day - 1, day):
            column = np.clip(candidate, 0, self.starts_ms.shape[1] - 1)
            is_open = (from_ms[:, None] >= self.starts_ms[:, column].T) & (
                until_ms[:, None] < self.ends_ms[:, column].T
            )
            found = np.where(is_open, column[:, None], found)
        return found


def build_schedule(num_streamers: int, until_ms: int, rng: np.random.Generator) -> Schedule:
    """Draws rooms from the start of the world until `until_ms`; streamers keep their favourite hour."""
    num_days = int((until_ms - WORLD_START_MS) // DAY_MS) + 1
    shape = (num_streamers, num_days)
    habit = draw_time_of_day(rng, (num_streamers, 1)) - 90 * MINUTE_MS
    jitter = rng.integers(-HOUR_MS, HOUR_MS, size=shape)
    time_of_day = np.clip(habit + jitter, 0, DAY_MS - 1)
    starts = WORLD_START_MS + np.arange(num_days) * DAY_MS + time_of_day
    lengths = np.clip(rng.lognormal(np.log(3.0), 0.5, size=shape), 0.75, 12.0) * HOUR_MS
    ends = starts + lengths.astype(np.int64)
    ends[:, :-1] = np.minimum(ends[:, :-1], starts[:, 1:] - 1)
    has_room = rng.random(shape) < _DAILY_SHARE
    return Schedule(np.where(has_room, starts, _NEVER), np.where(has_room, ends, _NEVER))


def rooms_table(schedule: Schedule, streamer_ids: tuple[str, ...], now_ms: int) -> tuple[pa.Table, Int64Array]:
    """Returns the rooms as contract "room", and which row is whose.

    Rooms that start after `now_ms` are not known yet; those still running then have no end. If none ran, the last to
    start is taken to be running, so that a world always ends with somebody live.

    Args:
      schedule: Who streams when.
      streamer_ids: Ids in the order of the schedule's rows.
      now_ms: The end of the log.

    Returns:
      The table, and `[num_streamers, num_days]` int64 row numbers, -1 where there is no room.
    """
    streamer, day = np.nonzero(schedule.starts_ms <= now_ms)
    starts, ends = schedule.starts_ms[streamer, day], schedule.ends_ms[streamer, day]
    running = ends > now_ms
    if len(starts) and not running.any():
        running[np.argmax(starts)] = True
    rows = np.full(schedule.starts_ms.shape, -1, np.int64)
    rows[streamer, day] = np.arange(len(streamer))
    owners = [streamer_ids[index] for index in streamer.tolist()]
    table = pa.Table.from_arrays(
        [
            pa.array(
                [f"r-{owner}-{number + 1}" for owner, number in zip(owners, day.tolist(), strict=True)], pa.string()
            ),
            pa.array(owners, pa.string()),
            pa.array(starts, pa.int64()),
            pa.array(ends, pa.int64(), mask=running),
        ],
        schema=arrow_schema("room"),
    )
    return table, rows
