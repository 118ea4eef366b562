"""A workspace of as many people as are wanted, never in memory at once: their logs are drawn over a bundle's feed.

Everybody clicks once a day, in another order every day, on what falls as a power of its rank; the first 70 % of
a history are consented, the next 20 % private.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.prepare.log import hex_ids
from data.divided import DIVIDED_FOLDER, SHARD, count_shards, divided_schema, shards_of, write_parts
from data.identity import assign_tiers
from pipelines.ingestion import write_shards
from recsys.contracts.arrays import Float64Array
from recsys.contracts.bundle import VOCABULARY_FILE
from recsys.contracts.events import SURFACE_CODES, Action, Surface
from recsys.features.catalogue import Catalogue
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import PARTS, DatasetCard, Workspace

_ENDS: Final = (0.7, 0.9)
"""Shares of a history up to the end of its consented and of its private part."""

_START_MS: Final = 1_700_000_000_000
_DAY_MS: Final = 86_400_000
_EPSILON: Final = 1e-9


def draw_log(base: Workspace, place: Workspace, num_people: int, num_events: int, seed: int) -> None:
    """Writes all of a workspace but the devices' shards.

    Args:
      base: Its current bundle and its catalogue are copied.
      place: An empty folder.
      num_people: How many have a device.
      num_events: Length of each history.
      seed: Equal seeds give equal logs.

    Raises:
      WorkspaceError: If there is no bundle.
    """
    bundle = BundleRegistry(base).current()
    shutil.copytree(bundle.root, place.bundles / bundle.root.name)
    shutil.copytree(base.keys, place.keys)
    shutil.copytree(base.items.parent, place.items.parent)
    shutil.copy(base.current, place.current)
    user_ids = hex_ids(np.arange(num_people))
    pq.write_table(assign_tiers(user_ids.to_pylist()), place.users)
    catalogue = Catalogue.from_vocabulary(pq.read_table(bundle.path(VOCABULARY_FILE)))
    days = _draw_days(user_ids, _feed_of(catalogue), num_events, seed)
    for day, events in enumerate(days):
        write_parts(events, place.root / DIVIDED_FOLDER, day)
    place.write_card(_describe(catalogue, num_people, num_events, seed))


def write_devices(place: Workspace, num_people: int) -> None:
    """Lets the job write the shards, and removes what they were made of."""
    place.devices.mkdir()
    write_shards(place.root / DIVIDED_FOLDER, place.devices, count_shards(num_people), Silent())
    shutil.rmtree(place.root / DIVIDED_FOLDER)


def _draw_days(user_ids: pa.Array, items: pa.Array, num_events: int, seed: int) -> Iterator[pa.Table]:
    num_people = len(user_ids)
    shards = pa.array(shards_of(user_ids.to_pylist(), count_shards(num_people)))
    chances = _chances(len(items))
    for day in range(num_events):
        rng = np.random.default_rng([seed, day])
        people = pa.array(rng.permutation(num_people))
        times = _START_MS + day * _DAY_MS + np.sort(rng.integers(_DAY_MS, size=num_people))
        columns = {
            "event_id": hex_ids(np.arange(day * num_people, (day + 1) * num_people)),
            "user_id": user_ids.take(people),
            "item_id": items.take(pa.array(np.searchsorted(chances, rng.random(num_people)))),
            "action": pa.repeat(Action.CLICK.value, num_people),
            "surface": pa.repeat(Surface.FEED.value, num_people),
            "timestamp_ms": pa.array(times),
            "part": pa.repeat(_part_of(day, num_events), num_people),
            SHARD: shards.take(people),
        }
        absent = {field.name: pa.nulls(num_people, field.type) for field in divided_schema()}
        yield pa.table({**absent, **columns}, schema=divided_schema())


def _feed_of(catalogue: Catalogue) -> pa.Array:
    rows = np.flatnonzero(catalogue.surfaces[1:] == SURFACE_CODES[Surface.FEED])
    return pa.array(catalogue.item_ids, pa.string()).take(pa.array(rows))


def _chances(num_items: int) -> Float64Array:
    """Returns the upper bounds of the chance of each item, for a search of uniform draws."""
    sums = np.cumsum(1.0 / (np.arange(num_items) + 10.0) ** 0.9)
    return sums / sums[-1]


def _part_of(day: int, num_events: int) -> str:
    return PARTS[sum(day >= int(num_events * end + _EPSILON) for end in _ENDS)]


def _describe(catalogue: Catalogue, num_people: int, num_events: int, seed: int) -> DatasetCard:
    numbers = {part: num_people * sum(_part_of(day, num_events) == part for day in range(num_events)) for part in PARTS}
    return DatasetCard(
        name="population",
        num_users=num_people,
        num_items=catalogue.num_items,
        num_events=num_people * num_events,
        num_consented=numbers["consented"],
        num_private=numbers["private"],
        num_heldout=numbers["heldout"],
        split="70/20/10 of events by time",
        split_fingerprint="",
        seed=seed,
    )


def measure_bytes(folder: Path) -> int:
    """Returns how long all files of a folder are together."""
    return sum(path.stat().st_size for path in folder.iterdir())
