"""Item counts of the training period, as Beam Combines over arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.prepare.examples import TRAIN
from recsys.contracts.arrays import Int64Array
from recsys.contracts.events import ACTION_CODES, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, POSITIVE_ACTIONS, Action

TimeRange: TypeAlias = tuple[int, int]
"""First and last `timestamp_ms`, both inclusive."""

IMPRESSIONS, POSITIVES, RECENT = range(3)
"""Rows of the counts."""

POSITIVE_CODES: Final = np.array(sorted(ACTION_CODES[action] for action in POSITIVE_ACTIONS), np.int8)

COUNTED_COLUMNS: Final = ["item_index", "action", "timestamp_ms"]


def training_part(examples: pa.Table) -> pa.Table:
    """Returns the columns that are counted, of the rows of the training period."""
    return examples.filter(pa.array(examples.column("period").to_numpy() == TRAIN)).select(COUNTED_COLUMNS)


def count_items(training: pa.Table, period: TimeRange, num_items: int) -> Int64Array:
    """Returns `[3, num_items + 1]` int64: impressions, positives, and positives in the last tenth of `period`.

    Args:
      training: What `training_part` returned.
      period: First and last time of the whole training period, over all tables.
      num_items: Items in the catalogue.
    """
    first, last = period
    item_index = training.column("item_index").to_numpy()
    action = training.column("action").to_numpy()
    is_positive = np.isin(action, POSITIVE_CODES)
    is_recent = training.column("timestamp_ms").to_numpy() >= last - (last - first) // 10
    chosen = (action == ACTION_CODES[Action.IMPRESSION], is_positive, is_positive & is_recent)
    return np.stack([np.bincount(item_index[rows], minlength=num_items + 1) for rows in chosen]).astype(np.int64)


class TimeRangeFn(beam.CombineFn):
    """Combines tables with `timestamp_ms` into their time range."""

    def create_accumulator(self) -> TimeRange:
        """Starts with a range that any time widens."""
        return MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS

    def add_input(self, mutable_accumulator: TimeRange, element: pa.Table) -> TimeRange:
        """Widens the range to the times of a table."""
        if element.num_rows == 0:
            return mutable_accumulator
        times = element.column("timestamp_ms").to_numpy()
        return self.merge_accumulators([mutable_accumulator, (int(times.min()), int(times.max()))])

    def merge_accumulators(self, accumulators: Iterable[TimeRange]) -> TimeRange:
        """Returns the range that covers all."""
        firsts, lasts = zip(*accumulators, strict=True)
        return min(firsts), max(lasts)

    def extract_output(self, accumulator: TimeRange) -> TimeRange:
        """The accumulator is the result."""
        return accumulator


class SumFn(beam.CombineFn):
    """Adds up int64 arrays of one shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Keeps the shape, for the sum of none."""
        self._shape = shape

    def create_accumulator(self) -> Int64Array:
        """Starts with zeros."""
        return np.zeros(self._shape, np.int64)

    def add_input(self, mutable_accumulator: Int64Array, element: Int64Array) -> Int64Array:
        """Adds one array in place."""
        mutable_accumulator += element
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[Int64Array]) -> Int64Array:
        """Adds up the accumulators."""
        total = self.create_accumulator()
        for accumulator in accumulators:
            total += accumulator
        return total

    def extract_output(self, accumulator: Int64Array) -> Int64Array:
        """The accumulator is the result."""
        return accumulator
