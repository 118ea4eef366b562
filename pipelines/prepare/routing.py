"""Which shard a row goes to: a stable hash of an id, the same in every run, process and machine."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.metering import Metered
from recsys.contracts.arrays import Int64Array


def shard_of(ids: pa.ChunkedArray, num_shards: int) -> Int64Array:
    """Returns the shard of each id, `[num_ids]` int64 from 0 to `num_shards - 1`."""
    hashes = map(zlib.crc32, ids.cast(pa.binary()).to_pylist())
    return np.fromiter(hashes, np.int64, len(ids)) % num_shards


def divide(table: pa.Table, column: str, num_shards: int) -> Iterator[tuple[int, pa.Table]]:
    """Yields (shard, its rows in their order) for each shard that has rows."""
    shards = shard_of(table.column(column), num_shards)
    order = np.argsort(shards, kind="stable")
    table = table.take(pa.array(order))
    bounds = np.searchsorted(shards[order], np.arange(num_shards + 1))
    for shard in range(num_shards):
        if bounds[shard] < bounds[shard + 1]:
            yield shard, table.slice(bounds[shard], bounds[shard + 1] - bounds[shard])


class Divide(beam.DoFn):
    """`divide` as a step."""

    def __init__(self, column: str, num_shards: int) -> None:
        """Keeps the column to divide by and the number of shards."""
        self._column = column
        self._num_shards = num_shards

    def process(self, element: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        """Yields the parts of a table."""
        return divide(element, self._column, self._num_shards)


class Route(beam.PTransform):
    """Brings the rows of tables that share an id together: tables in, (shard, tables) out."""

    def __init__(self, column: str, num_shards: int) -> None:
        """Keeps the column to route by and the number of shards."""
        super().__init__()
        self._column = column
        self._num_shards = num_shards

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Applies the one shuffle."""
        step = Metered(f"divide by {self._column}", Divide(self._column, self._num_shards))
        keyed = tables | "Divide" >> beam.ParDo(step).with_output_types(tuple[int, pa.Table])
        return keyed | "Shuffle" >> beam.GroupByKey()
