"""The devices' shards as one Beam pipeline.

        divided/*.parquet                    as the events came, each with its part
               │
    runs of neighbouring shards              so many that the rows of a run fit in memory
               │  each reads the log by batches, and keeps its own people's rows
       order by person and time
               │
        devices/shard-*.parquet              each whole or not at all

Nothing is shuffled: a worker holds one run of shards, however long the log is, at the price of one reading of the log a
run. The in-process runner, which keeps what is shuffled in memory, would hold the whole log.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.divided import SHARD, divided_schema, shard_path
from pipelines.metering import Metered
from pipelines.runner import run
from recsys.errors import DatasetError
from recsys.progress import Progress
from recsys.storage.atomic import remove_partials, write_file

ROWS_PER_RUN: Final = 2**20
"""About so many rows does a worker hold: some 300 MB."""

_BATCH_ROWS: Final = 2**17
_ORDER: Final = [(name, "ascending") for name in ("user_id", "timestamp_ms", "event_id")]
_TOLD_EVERY_S: Final = 0.2


@dataclass(frozen=True)
class ShardRun:
    """Neighbouring shards, of which those that are missing are written together."""

    first: int
    end: int


def write_shards(
    divided: Path,
    devices: Path,
    num_shards: int,
    progress: Progress,
    flags: Sequence[str] = (),
    rows_per_run: int = ROWS_PER_RUN,
) -> None:
    """Writes what the devices hold, by person and time; shards that are there stay as they are.

    Args:
      divided: Folder of the divided log (`data.divided`): lawful events, each once.
      devices: Folder of the shards; it exists.
      num_shards: How many.
      progress: Told of each shard.
      flags: Beam's own flags (see `pipelines.runner.run`).
      rows_per_run: About so many rows of the log are held in memory at a time, one shard's at least.

    Raises:
      WorkspaceError: If the disk is full or refuses; the shards that are whole stay.
      DatasetError: If a file of the divided log is broken; the message names it.
    """
    # Workers of a cluster stand in folders of their own.
    divided, devices = divided.absolute(), devices.absolute()
    progress.stage("writing the devices' shards", num_shards)
    num_runs = max(1, min(num_shards, -(-_count_rows(divided) // rows_per_run)))
    bounds = np.linspace(0, num_shards, num_runs + 1).astype(int).tolist()
    runs = [ShardRun(first, end) for first, end in pairwise(bounds)]

    def construct(pipeline: beam.Pipeline) -> None:
        (
            pipeline
            | "Runs of shards" >> beam.Create([each for each in runs if _missing(each, devices)])
            | "Spread" >> beam.Reshuffle()
            | "Write shards" >> beam.ParDo(Metered("write shards", WriteShards(divided, devices)))
        )

    with _telling(devices, progress):
        run(construct, flags)
    for shard in range(num_shards):  # of runs, or workers, that were killed
        remove_partials(shard_path(devices, shard))


class WriteShards(beam.DoFn):
    """Writes the missing shards of a run."""

    def __init__(self, divided: Path, devices: Path) -> None:
        """Keeps the folders."""
        self._divided = divided
        self._devices = devices

    def process(self, element: ShardRun) -> None:
        """Reads the log once and writes the shards one by one.

        Raises:
          WorkspaceError: If the disk is full or refuses.
          DatasetError: If a file of the log is broken.
        """
        missing = _missing(element, self._devices)
        kept = [_keep(events, element) for path in _list_parts(self._divided) for events in _read(path)]
        events = pa.concat_tables([divided_schema().empty_table(), *kept])
        for shard in missing:
            chosen = events.filter(pc.equal(events.column(SHARD), shard)).drop_columns(SHARD)
            sink = io.BytesIO()
            pq.write_table(chosen.take(pc.sort_indices(chosen, _ORDER)), sink)
            write_file(shard_path(self._devices, shard), sink.getvalue())


def _keep(events: pa.Table, shards: ShardRun) -> pa.Table:
    """Returns the rows of the people of these shards."""
    numbers = events.column(SHARD)
    return events.filter(pc.and_(pc.greater_equal(numbers, shards.first), pc.less(numbers, shards.end)))


def _missing(shards: ShardRun, devices: Path) -> list[int]:
    return [shard for shard in range(shards.first, shards.end) if not shard_path(devices, shard).exists()]


def _list_parts(divided: Path) -> list[Path]:
    return sorted(divided.glob("*.parquet"))


def _count_rows(divided: Path) -> int:
    return sum(_open(path).metadata.num_rows for path in _list_parts(divided))


def _read(path: Path) -> Iterator[pa.Table]:
    try:
        for batch in _open(path).iter_batches(_BATCH_ROWS):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"Expected a whole Parquet file of the divided log at {path}, got: {' '.join(str(error).split())} "
        f"Remove {path.parent.parent} and run the same command again."
    )


@contextmanager
def _telling(devices: Path, progress: Progress) -> Iterator[None]:
    """Counts the shards that are there, from beside: workers, which may be other processes, cannot tell."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_TOLD_EVERY_S):
            progress.advance(len(list(devices.glob("shard-*.parquet"))))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
        progress.advance(len(list(devices.glob("shard-*.parquet"))))
