"""The divided log: what the devices hold, with the part and the shard of each event, on its way into the shards.

`data` writes it in the order in which the events came; a job of the pipelines brings together what belongs together
(`pipelines.shards`), and it goes when the shards are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.dataset import Dataset, raw_event_schema
from data.identity import hash_ids
from data.split import Split
from recsys.contracts.arrays import BoolArray, Int32Array
from recsys.progress import Progress

USERS_PER_SHARD: Final = 512
"""People whose devices share a file, about."""

DIVIDED_FOLDER: Final = "divided"

SHARD: Final = "shard"
"""Column of the divided log: the number of the person's shard."""

ROWS_PER_FILE: Final = 262_144


class ShardWriter(Protocol):
    """Makes the devices' shards out of a divided log."""

    def __call__(self, divided: Path, devices: Path, num_shards: int, progress: Progress) -> None:
        """Writes each shard whole or not at all; those that are there stay.

        Args:
          divided: Folder of the divided log.
          devices: Folder of the shards; it exists.
          num_shards: How many (`count_shards`).
          progress: Told of each shard.

        Raises:
          WorkspaceError: If the disk is full or refuses.
        """


def count_shards(num_users: int) -> int:
    """Returns over how many files people are spread."""
    return max(1, -(-num_users // USERS_PER_SHARD))


def shards_of(user_ids: Sequence[str], num_shards: int) -> Int32Array:
    """Returns the shard of each person, `[num_users]` int32, by a stable hash."""
    return (hash_ids(user_ids, "device-shard") % num_shards).astype(np.int32)


def shard_path(devices: Path, shard: int) -> Path:
    """Returns the file of a shard."""
    return devices / f"shard-{shard:04d}.parquet"


def shard_schema() -> pa.Schema:
    """Returns the columns of a shard: those of an event, and its part."""
    return raw_event_schema().append(pa.field("part", pa.string()))


def divided_schema() -> pa.Schema:
    """Returns the columns of the divided log."""
    return shard_schema().append(pa.field(SHARD, pa.int32()))


def write_divided(folder: Path, dataset: Dataset, split: Split, lawful: BoolArray) -> None:
    """Writes the lawful events, each once, as they came; the folder is made."""
    events = dataset.events.append_column("part", split.parts)
    rows = np.flatnonzero(lawful)
    ids = events.column("event_id").take(pa.array(rows)).to_pandas()
    events = events.take(pa.array(rows[~ids.duplicated().to_numpy()]))
    users = events.column("user_id").combine_chunks().dictionary_encode()
    shards = shards_of(users.dictionary.to_pylist(), count_shards(dataset.users.num_rows))[users.indices.to_numpy()]
    write_parts(events.append_column(divided_schema().field(SHARD), pa.array(shards)), folder)


def write_parts(events: pa.Table, folder: Path, first_part: int = 0) -> None:
    """Writes a log as `part-<number>.parquet`, numbered from `first_part`; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, max(events.num_rows, 1), ROWS_PER_FILE), start=first_part):
        pq.write_table(events.slice(start, ROWS_PER_FILE), folder / f"part-{number:04d}.parquet")
