"""Tables of one's own folder: `events.csv`, `events.csv.gz` or `events.parquet`, and their neighbours."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from recsys.errors import DatasetError

_SUFFIXES = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True)
class Source:
    """A folder and what precedes `events`, `items`, `rooms` and `users` in the names of its files."""

    folder: Path
    prefix: str = ""

    def find(self, stem: str) -> Path | None:
        """Returns the file of a table, or None.

        Raises:
          DatasetError: If there are several.
        """
        candidates = [self.folder / f"{self.prefix}{stem}{suffix}" for suffix in _SUFFIXES]
        present = [path for path in candidates if path.is_file()]
        if len(present) > 1:
            raise DatasetError(
                f"Expected one file of {stem} in {self.folder}, got {', '.join(path.name for path in present)}. "
                "Remove the one that is out of date."
            )
        return present[0] if present else None

    def describe(self, stem: str) -> str:
        """Returns the path of a table's file, for messages."""
        return str(self.find(stem) or self.folder / f"{self.prefix}{stem}.csv")

    def missing(self, stem: str) -> DatasetError:
        """Returns the error that says that a table is not there."""
        present = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        return DatasetError(
            f"Expected {self.prefix}{stem}.csv, .csv.gz or .parquet in {self.folder}, got "
            f"{', '.join(present[:6]) or 'an empty folder'}. data/event_schema.md says what the file must hold."
        )

    def read(self, stem: str) -> tuple[pa.Table, list[str]] | None:
        """Returns a table as it stands, with what a person should know of it; None where there is no such file.

        Cells of a CSV are strings, empty ones null. A line with another number of cells than the header becomes a
        row of nulls.

        Raises:
          DatasetError: If the file is empty, truncated, no table or not in UTF-8.
        """
        path = self.find(stem)
        if path is None:
            return None
        try:
            if path.suffix == ".parquet":
                return pq.read_table(path), []
            content = path.read_bytes()
            return _read_csv(gzip.decompress(content) if path.suffix == ".gz" else content, path)
        except (pa.ArrowInvalid, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
            raise DatasetError(
                f"Expected a whole table in {path}, got one that cannot be read: {str(error).strip() or 'truncated'}. "
                "A CSV must be UTF-8 with one header line; write the file again."
            ) from error


def open_source(path: Path) -> Source:
    """Returns the folder at `path`, or that of the events file at `path` with its prefix.

    Raises:
      DatasetError: If nothing is there, or a file that is not named for events.
    """
    if path.is_dir():
        return Source(path)
    if not path.exists():
        raise DatasetError(f"Expected your data at {path}, got nothing there. Check the path given with --from.")
    for suffix in _SUFFIXES:
        if path.name.endswith(f"events{suffix}"):
            return Source(path.parent, path.name.removesuffix(f"events{suffix}"))
    raise DatasetError(
        f"Expected a folder, or a file whose name ends with events.csv, events.csv.gz or events.parquet, got {path}. "
        "Rename the file."
    )


def _read_csv(content: bytes, path: Path) -> tuple[pa.Table, list[str]]:
    header = _read_header(content, path)
    uneven: list[pyarrow.csv.InvalidRow] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        uneven.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        io.BytesIO(content),
        # One thread, so that a line that is set aside still knows its number.
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_aside),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    if not uneven:
        return table, []
    nothing = pa.table({name: pa.nulls(len(uneven), pa.string()) for name in table.column_names})
    first = uneven[0]
    note = (
        f"{len(uneven):,} lines of {path} have another number of cells than the header's {first.expected_columns}, the "
        f"first with {first.actual_columns} in line {first.number}; they are kept as empty rows."
    )
    return pa.concat_tables([table, nothing]), [note]


def _read_header(content: bytes, path: Path) -> list[str]:
    """The names of the columns.

    Raises:
      DatasetError: If a name stands twice.
    """
    first = content.lstrip(b"\r\n").split(b"\n", 1)[0].decode("utf-8-sig").rstrip("\r")
    names = [name.strip('"') for name in first.split(",")]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DatasetError(f"Expected distinct columns in {path}, got {repeated} more than once. Rename one of each.")
    return names
