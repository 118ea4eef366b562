"""Reading the raw log: row groups of Parquet files as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.dataset import raw_event_schema, raw_events
from recsys.contracts.arrays import BoolArray
from recsys.errors import ContractError, DatasetError, WorkspaceError

ROW = "row"
"""Column: where the row stands in the log, int64, rising over files by name and rows within a file."""

GARBLED = "garbled"
"""Column: bool, whether a text of the row was not UTF-8 (its bad bytes are replaced by U+FFFD)."""

TEXT_COLUMNS = tuple(field.name for field in raw_event_schema() if field.type == pa.string())

_ROWS_PER_FILE_BITS = 40


@dataclass(frozen=True)
class RowGroup:
    """One row group of one file: the unit that a worker reads."""

    path: str
    file_number: int
    number: int
    first_row: int


def list_row_groups(events: Path) -> list[RowGroup]:
    """Returns all row groups of the Parquet files in a folder, files by name.

    Raises:
      WorkspaceError: If the folder holds no Parquet file.
      DatasetError: If a file is no Parquet, is cut off or lacks a column.
    """
    paths = sorted(events.glob("*.parquet"))
    if not paths:
        raise WorkspaceError(f"Expected Parquet files in {events}, got none. Run `tandem ingest` first.")
    groups = []
    for file_number, path in enumerate(paths):
        with _open(str(path)) as file:
            _conform(file.schema_arrow.empty_table(), str(path))
            first_row = 0
            for number in range(file.num_row_groups):
                groups.append(RowGroup(str(path), file_number, number, first_row))
                first_row += file.metadata.row_group(number).num_rows
    return groups


class ReadRowGroup(beam.DoFn):
    """Reads a `RowGroup` as tables of raw events with the columns `row` and `garbled`."""

    def __init__(self, batch_rows: int) -> None:
        """Keeps the size of the tables, in rows."""
        self._batch_rows = batch_rows

    def process(self, element: RowGroup) -> Iterator[pa.Table]:
        """Yields the tables of one row group.

        Raises:
          DatasetError: If the pages of the file cannot be read.
        """
        first_row = (element.file_number << _ROWS_PER_FILE_BITS) + element.first_row
        with _open(element.path) as file:
            try:
                for batch in file.iter_batches(self._batch_rows, row_groups=[element.number]):
                    table = mend_text(_conform(pa.Table.from_batches([batch]), element.path))
                    rows = np.arange(first_row, first_row + table.num_rows, dtype=np.int64)
                    yield table.append_column(ROW, pa.array(rows))
                    first_row += table.num_rows
            except (pa.ArrowException, OSError) as error:
                raise _unreadable(element.path, error) from error


def mend_text(table: pa.Table) -> pa.Table:
    """Returns raw events with valid text and the column `garbled`, which tells where text had to be mended."""
    garbled: BoolArray = np.zeros(table.num_rows, np.bool_)
    for name in TEXT_COLUMNS:
        column = table.column(name)
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            values = column.cast(pa.binary()).to_pylist()
            mended = [None if value is None else value.decode("utf-8", "replace") for value in values]
            garbled |= [text is not None and text.encode() != value for text, value in zip(mended, values, strict=True)]
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(mended, pa.string()))
    return table.append_column(GARBLED, pa.array(garbled))


def _open(path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _conform(table: pa.Table, path: str) -> pa.Table:
    try:
        return raw_events(table)
    except ContractError as error:
        raise DatasetError(f"{path}: {error}") from error


def _unreadable(path: str, error: Exception) -> DatasetError:
    cause = " ".join(str(error).split())
    return DatasetError(
        f"Expected a whole Parquet file of events at {path}, got one that cannot be read: {cause} "
        "It is cut off or no Parquet; write it again (for example with `tandem ingest`) or remove it."
    )
