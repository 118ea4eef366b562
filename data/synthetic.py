"""The synthetic world: a seeded log of any size whose true relevance is known.

Long-term tastes, interests that hold people for some sessions, position bias, a mediocre logging policy, streamers
who come and go: every trouble that a real log has, with an oracle that bounds every metric.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from data.dataset import Dataset, raw_event_schema
from data.truth import Truth
from data.world.behaviour import Block, Responses, concatenate
from data.world.catalogue import WorldCatalogue, build_catalogue, items_table
from data.world.people import People, build_people, users_table
from data.world.schedule import build_schedule, rooms_table
from recsys.config.data import WorldSettings
from recsys.contracts.arrays import Int64Array
from recsys.contracts.events import Action

_BLOCK_CELLS = 32_000_000
"""Bound on people times items of one block, so that a large world needs little memory."""

_BLOCK_USERS = 1_024


def generate(settings: WorldSettings, seed: int) -> Dataset:
    """Returns a whole world; equal settings and seed give equal bytes.

    Args:
      settings: Its size and character.
      seed: Of everything in it.
    """
    catalogue_rng, people_rng, rooms_rng, titles_rng, blocks_rng = np.random.default_rng(seed).spawn(5)
    catalogue = build_catalogue(settings, catalogue_rng)
    people = build_people(settings, catalogue.centres, people_rng)
    horizon_ms = int(people.starts_ms.max()) + people.session_ms
    schedule = build_schedule(settings.num_streamers, horizon_ms, rooms_rng)
    block_users = int(np.clip(_BLOCK_CELLS // settings.num_items, 1, _BLOCK_USERS))
    starts = range(0, settings.num_users, block_users)
    log = concatenate(
        [
            session
            for start, rng in zip(starts, blocks_rng.spawn(len(starts)), strict=True)
            for session in Block(settings, catalogue, schedule, people, slice(start, start + block_users), rng).live()
        ]
    )
    rooms, room_rows = rooms_table(schedule, catalogue.item_ids[catalogue.num_feed :], int(log.timestamp_ms.max()))
    return Dataset(
        name="synthetic",
        events=_events_table(log, catalogue, people, rooms, room_rows),
        items=items_table(catalogue, titles_rng),
        rooms=rooms,
        users=users_table(people),
        truth=_truth(settings, catalogue, people),
    )


def _events_table(
    log: Responses, catalogue: WorldCatalogue, people: People, rooms: pa.Table, room_rows: Int64Array
) -> pa.Table:
    """The log in the order of time, as raw events."""
    order = np.lexsort((log.action, log.item, log.user, log.timestamp_ms))
    item, action = log.item[order], log.action[order]
    on_live = item >= catalogue.num_feed
    room = np.where(on_live, room_rows[np.maximum(item - catalogue.num_feed, 0), log.room_day[order]], 0)
    width = max(6, len(str(len(order))))
    value = log.value[order]
    return pa.Table.from_arrays(
        [
            pa.array([f"e{number:0{width}d}" for number in range(1, len(order) + 1)], pa.string()),
            _take(people.user_ids, log.user[order]),
            _take(catalogue.item_ids, item),
            _take(tuple(action.value for action in Action), action),
            _take(("feed", "live"), on_live.astype(np.int64)),
            pa.array(value, pa.float32(), mask=np.isnan(value)),
            pa.array(log.timestamp_ms[order], pa.int64()),
            pa.array(log.position[order], pa.int16()),
            rooms.column("room_id").combine_chunks().take(pa.array(room, mask=~on_live)),
        ],
        schema=raw_event_schema(),
    )


def _take(values: tuple[str, ...], rows: Int64Array) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(rows))


def _truth(settings: WorldSettings, catalogue: WorldCatalogue, people: People) -> Truth:
    return Truth(
        item_ids=catalogue.item_ids,
        user_ids=people.user_ids,
        factors=catalogue.factors,
        appeal=catalogue.appeal,
        long_term=people.long_term,
        centres=catalogue.centres,
        interests=people.interests,
        session_starts_ms=people.starts_ms,
        drift=settings.drift,
    )
