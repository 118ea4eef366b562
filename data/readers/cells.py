"""Cells of one's own tables to the types of the contract; what cannot be read becomes null and is counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError

LIST_SEPARATOR = "|"
"""Stands between the categories in a cell of a CSV."""


def parse_table(raw: pa.Table, contract: str, label: str) -> tuple[pa.Table, list[str]]:
    """Returns the columns of a contract table, all nullable, and a note per column with unreadable cells.

    Args:
      raw: Columns in any order, as strings (from a CSV) or typed (from Parquet).
      contract: A key of `recsys.contracts.schema.TABLES`.
      label: The file, for messages.

    Raises:
      DatasetError: If a required column is absent.
    """
    columns, notes = [], []
    schema = arrow_schema(contract)
    for field in schema:
        if field.name not in raw.column_names:
            if not field.nullable:
                raise DatasetError(
                    f"Expected the column {field.name!r} in {label}, got {raw.column_names}. "
                    "Add it, or rename the one that holds it; data/event_schema.md lists them all."
                )
            columns.append(pa.nulls(raw.num_rows, field.type))
            continue
        given = raw.column(field.name)
        parsed = parse_column(given, field.type)
        lost = pc.and_(pc.is_valid(given), pc.is_null(parsed)).to_numpy().astype(np.bool_)
        if lost.any():
            row = int(lost.argmax())
            notes.append(
                f"{int(lost.sum()):,} cells of {field.name!r} in {label} are no {field.type} and become empty, "
                f"the first {given[row].as_py()!r:.60} in data row {row + 1}."
            )
        columns.append(parsed)
    return pa.Table.from_arrays(columns, schema=pa.schema([field.with_nullable(True) for field in schema])), notes


def parse_column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Returns the column as `kind`, null where a cell cannot be read as one."""
    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(kind):
        return _parse_lists(column, kind)
    if pa.types.is_string(kind):
        return _parse_strings(column)
    return pa.chunked_array([_parse_numbers(column, kind)])


def _parse_lists(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(kind)
    return pc.split_pattern(_parse_strings(column), LIST_SEPARATOR).cast(kind)


def _parse_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    simple = (pa.types.is_integer, pa.types.is_large_string, pa.types.is_string, pa.types.is_floating, pa.types.is_null)
    if any(is_kind(column.type) for is_kind in simple):
        return column.cast(pa.string())
    return pa.chunked_array([pa.nulls(len(column), pa.string())])


def _parse_numbers(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Numbers, from text, numbers or moments; a fraction or an excess is no integer."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    if pa.types.is_integer(column.type):
        low, high = _bounds(kind)
        within = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
        return pc.if_else(within, column, None).cast(kind).combine_chunks()
    numbers = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if pa.types.is_floating(kind):
        return pa.array(numbers, mask=np.isnan(numbers)).cast(kind)
    low, high = _bounds(kind)
    readable = np.isfinite(numbers) & (numbers % 1 == 0) & (numbers >= low) & (numbers <= high)
    return pa.array(np.where(readable, numbers, 0).astype(np.int64), mask=~readable).cast(kind)


def _bounds(kind: pa.DataType) -> tuple[int, int]:
    """The least and greatest value to accept; 2**53 bounds what a double holds exactly."""
    if not pa.types.is_integer(kind):
        return -(2**53), 2**53
    info = np.iinfo(kind.to_pandas_dtype())
    return max(int(info.min), -(2**53)), min(int(info.max), 2**53)
