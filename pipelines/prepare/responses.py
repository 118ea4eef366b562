"""Counts per item and action, as a Beam Combine over tables: as long as the pairs that occur, not as the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.prepare.examples import TRAIN
from recsys.features.responses import RESPONSES_SCHEMA, Period

RESPONSE_COLUMNS: Final = ["item_index", "action", "period"]

_KEYS: Final = ["item_index", "action"]
_COUNTS: Final = [(period.value, "sum") for period in Period]


def count_responses(examples: pa.Table) -> pa.Table:
    """Returns the counts of some rows as a table of `RESPONSES_SCHEMA`.

    Args:
      examples: The columns of `RESPONSE_COLUMNS`.
    """
    is_trained = examples.column("period").to_numpy() == TRAIN
    columns = [
        *(examples.column(name) for name in _KEYS),
        is_trained.astype(np.int64),
        np.ones(len(examples), np.int64),
    ]
    return _sum_up([pa.table(columns, schema=RESPONSES_SCHEMA)])


class CountsFn(beam.CombineFn):
    """Adds up tables of `RESPONSES_SCHEMA`."""

    def create_accumulator(self) -> pa.Table:
        """Starts with no row."""
        return RESPONSES_SCHEMA.empty_table()

    def add_input(self, mutable_accumulator: pa.Table, element: pa.Table) -> pa.Table:
        """Adds one table."""
        return _sum_up([mutable_accumulator, element])

    def merge_accumulators(self, accumulators: Iterable[pa.Table]) -> pa.Table:
        """Adds up the accumulators."""
        return _sum_up([self.create_accumulator(), *accumulators])

    def extract_output(self, accumulator: pa.Table) -> pa.Table:
        """The accumulator is the result."""
        return accumulator


def _sum_up(tables: Iterable[pa.Table]) -> pa.Table:
    """Returns one row per item and action, in their order."""
    summed = pa.concat_tables(tables).group_by(_KEYS, use_threads=False).aggregate(_COUNTS)
    columns = [summed.column(name) for name in (*_KEYS, *("_".join(pair) for pair in _COUNTS))]
    return pa.table(columns, schema=RESPONSES_SCHEMA).sort_by([(name, "ascending") for name in _KEYS])
