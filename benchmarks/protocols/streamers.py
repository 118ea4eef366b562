"""P5: which further streamers a Twitch viewer watched, out of all.

Viewers and streamers of the LiveRec data (Rappaz, McAuley and Aberer, "Recommendation on Live-Streaming Platforms",
RecSys 2021), aggregated to pairs without times. Viewers of 10 streamers or more; a fifth of the pairs of each is held
out by a seed that is part of the protocol. The order of a history is drawn too and means nothing: models that read
order have nothing to read here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.protocols.assembly import Description, HeldOut, assemble
from benchmarks.settings import BaselineSettings
from benchmarks.task import Task
from data.dataset import Dataset, empty_rooms, raw_events
from data.identity import assign_tiers
from data.readers.files import Files, open_files, read_content
from data.readers.location import locate
from data.readers.tables import read_columns, to_integers
from data.split import hold_out
from recsys.contracts.arrays import BoolArray, Int64Array
from recsys.contracts.schema import arrow_schema

MIN_STREAMERS = 10
TEST_SHARE = 0.2
_SEED = 5
_PAIRS = "interactions.tsv"
_SPACING_MS = 1_000


def read_streamers(source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task.

    Args:
      source: Where the aggregated pairs lie; None searches.
      held_out: The part that is asked for.

    Raises:
      DatasetError: If the data is missing or broken.
    """
    users, items = _read_pairs(open_files(locate("twitch", source)))
    dataset, chosen = _make_dataset(users, items), _draw_test(users)
    split = hold_out(dataset.events, chosen, f"{TEST_SHARE:g} of each viewer's pairs at random (seed {_SEED})")
    description = Description(
        "P5",
        f"Twitch, viewers of {MIN_STREAMERS} streamers or more, {TEST_SHARE:.0%} of pairs held out, full ranking",
        BaselineSettings(),
        ("The pairs have no times: recent popularity, and all that reads order, reads chance.",),
    )
    return assemble(description, dataset, split, held_out)


def _read_pairs(files: Files) -> tuple[Int64Array, Int64Array]:
    """Viewers and streamers, by viewer, the streamers of each in a drawn order."""
    table = read_columns(read_content(files, _PAIRS), _PAIRS, separator="\t", columns=("user", "streamer"))
    table = to_integers(table, ["user", "streamer"], _PAIRS)
    users, items = table["user"].to_numpy().astype(np.int64), table["streamer"].to_numpy().astype(np.int64)
    kept = np.bincount(users)[users] >= MIN_STREAMERS
    users, items = users[kept], items[kept]
    order = np.lexsort((np.random.default_rng(_SEED).random(len(users)), users))
    return users[order], items[order]


def _places(users: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The place of each row among those of its viewer, and how many these are."""
    _, first, counts = np.unique(users, return_index=True, return_counts=True)
    return np.arange(len(users)) - np.repeat(first, counts), np.repeat(counts, counts)


def _draw_test(users: Int64Array) -> BoolArray:
    places, counts = _places(users)
    return places >= counts - np.round(counts * TEST_SHARE).astype(np.int64)


def _make_dataset(users: Int64Array, items: Int64Array) -> Dataset:
    ids = np.unique(items)
    user_ids, item_ids = pa.array(users).cast(pa.string()), pa.array(items).cast(pa.string())
    events = pa.table(
        {
            "event_id": pa.array([f"twitch-{user}-{item}" for user, item in zip(users, items, strict=True)]),
            "user_id": user_ids,
            "item_id": item_ids,
            "action": pa.repeat("click", len(users)),
            "surface": pa.repeat("feed", len(users)),
            "timestamp_ms": pa.array(_places(users)[0] * _SPACING_MS),
        }
    )
    names = pa.array(ids).cast(pa.string())
    columns = [
        names,
        pa.repeat("feed", len(ids)),
        names,
        pa.array([[]] * len(ids), pa.list_(pa.string())),
        pa.nulls(len(ids), pa.string()),
        pa.nulls(len(ids), pa.int64()),
    ]
    return Dataset(
        name="twitch",
        events=raw_events(events),
        items=pa.Table.from_arrays(columns, schema=arrow_schema("item")),
        rooms=empty_rooms(),
        users=assign_tiers([str(user) for user in np.unique(users).tolist()]),
    )
