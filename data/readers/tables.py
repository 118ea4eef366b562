"""Text tables to columns, with errors that name the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pandas as pd

from recsys.errors import DatasetError


def read_columns(
    content: bytes,
    label: str,
    *,
    separator: str,
    names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    texts: Sequence[str] = (),
    encoding: str = "utf-8",
    quoted: bool = False,
) -> pd.DataFrame:
    """Returns a text table, empty cells as missing values.

    Args:
      content: The uncompressed file.
      label: The file, for messages.
      separator: One or two characters.
      names: The columns, where the file has no header.
      columns: Columns that must be there, whatever their case; others are left out. None takes all.
      texts: Columns to be taken as they stand, even where they look like numbers.
      encoding: Of the text.
      quoted: Whether cells may stand in double quotes.

    Raises:
      DatasetError: If the file is empty, no such table, or lacks a column.
    """
    if len(separator) > 1:
        # The fast parser knows separators of one byte; a tab occurs in none of the files that use two characters.
        content, separator = content.replace(separator.encode(), b"\t"), "\t"
    options = {
        "sep": separator,
        "header": None if names else 0,
        "names": None if names is None else list(names),
        "dtype": dict.fromkeys(texts, str),
        "encoding": encoding,
        "quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    }
    table = _parse(content, options, f"Expected a table with {list(names or columns or ())} in {label}")
    return table if columns is None else _choose(table, columns, label)


def _parse(content: bytes, options: dict[str, Any], expected: str) -> pd.DataFrame:
    """Reads with "" as the only mark of a missing value: a movie may be called "NA"."""
    stream = io.BytesIO(content)
    try:
        return pd.read_csv(stream, index_col=False, na_values=[""], keep_default_na=False, low_memory=False, **options)
    except (ValueError, pd.errors.ParserError) as error:
        raise DatasetError(f"{expected}, got: {str(error).strip()}. Is it the right file, and whole?") from error


def _choose(table: pd.DataFrame, columns: Sequence[str], label: str) -> pd.DataFrame:
    by_lower = {str(name).lower(): name for name in table.columns}
    missing = [name for name in columns if name.lower() not in by_lower]
    if missing:
        raise DatasetError(
            f"Expected the columns {list(columns)} in {label}, got {[str(name) for name in table.columns][:20]}: "
            f"{missing} missing. Is it the right file?"
        )
    chosen = table[[by_lower[name.lower()] for name in columns]]
    return chosen.set_axis(list(columns), axis=1)


def to_integers(table: pd.DataFrame, columns: Sequence[str], label: str) -> pd.DataFrame:
    """Returns the table with the columns as int64.

    Raises:
      DatasetError: If a cell is no whole number; the message names the line.
    """
    result = table.copy(deep=False)
    for name in columns:
        numbers = pd.to_numeric(table[name], errors="coerce")
        bad = numbers.isna() | (numbers % 1 != 0)
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise DatasetError(
                f"Expected whole numbers in the column {name!r} of {label}, got {table[name].iloc[row]!r} "
                f"in data row {row + 1}. Is it the right file, and whole?"
            )
        result[name] = numbers.astype("int64")
    return result
