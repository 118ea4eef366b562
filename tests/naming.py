"""Looks for a name in files of every kind: in their bytes, and in what they hold once they are unpacked."""

from __future__ import annotations

import gzip
import io
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_PARQUET, _ZIP, _GZIP, _SQLITE = b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"SQLite format 3\0"


def files_with(root: Path, name: str) -> dict[str, Path]:
    """Returns the files below `root` in which a name stands that is long enough to stand nowhere by chance."""
    sought = [name.encode(), name.encode("utf-16-le"), name.encode("utf-32-le")]
    return {
        str(path.relative_to(root)): path
        for path in sorted(root.rglob("*"))
        if path.is_file() and any(one in content for content in contents_of(path) for one in sought)
    }


def contents_of(path: Path) -> Iterator[bytes]:
    """Yields the bytes of a file, and those of what is packed in it; a file that breaks off is taken as it is."""
    raw = path.read_bytes()
    yield raw
    yield "\n".join(strings_in(path)).encode("utf-8", "surrogateescape")
    if raw.startswith(_ZIP) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            yield from (packed.read(member) for member in packed.namelist())
    if raw.startswith(_GZIP):
        yield gzip.decompress(raw)


def strings_in(path: Path) -> Iterator[str]:
    """Yields the values of a Parquet file or a SQLite database as text; nothing of any other file."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_PARQUET):
        try:
            table = pq.ParquetFile(path).read()
        except pa.ArrowException:
            return  # its end is missing
        yield str(table.schema)
        yield from (str(value) for column in table.columns for value in column.to_pylist())
    elif head == _SQLITE:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in tables:
                yield from (str(value) for row in database.execute(f"SELECT * FROM {name}") for value in row)
