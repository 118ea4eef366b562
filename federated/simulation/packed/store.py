"""Local examples on disk, where TFF's worker reads them: what goes through a call is where a person's rows lie.

    <root>/<field>.bin    one row per example, a person's rows together and in order, as raw little-endian numbers

The files have their full length from the start (holes cost no space), so that the worker can map them into memory once
and for all, while people are added as they are drawn.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys.errors import FederationError
from recsys.storage.atomic import explain_disk_errors

_LITTLE: Final = sys.byteorder == "little"


@dataclass(frozen=True)
class Column:
    """One field of all examples.

    Attributes:
      path: An absolute path.
      dtype: float32 or int32.
      shape: `(num_rows, …)`; rows that nobody has written yet are zeros.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))


@dataclass(frozen=True, order=True)
class Extent:
    """Where one person's examples lie: `count` rows from `start` on."""

    start: int
    count: int


class ExampleStore:
    """Examples of people, each of whom is written once."""

    def __init__(self, root: Path, fields: Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]], num_rows: int) -> None:
        """Lays out the files; what lay there before is overwritten.

        Args:
          root: Folder of the files.
          fields: Name to the type of its numbers and the shape of one row.
          num_rows: The most that will ever be added, at least 1.

        Raises:
          FederationError: On a machine whose numbers are big-endian.
          WorkspaceError: If the disk refuses.
        """
        if not _LITTLE:
            raise FederationError("Expected a little-endian machine for packed cohorts, got a big-endian one.")
        self._num_rows = num_rows
        self._used = 0
        self._extents: dict[str, Extent] = {}
        self.columns = {
            name: Column(root.resolve() / f"{name}.bin", np.dtype(dtype), (num_rows, *shape))
            for name, (dtype, shape) in fields.items()
        }
        for column in self.columns.values():
            with explain_disk_errors(column.path, 0):
                root.mkdir(parents=True, exist_ok=True)
                with column.path.open("wb") as target:
                    target.truncate(num_rows * column.row_bytes)

    def __contains__(self, user_id: str) -> bool:
        """Whether a person was added."""
        return user_id in self._extents

    def add(self, user_id: str, examples: Mapping[str, npt.NDArray[Any]]) -> Extent:
        """Writes one person's examples behind those of the others.

        Args:
          user_id: Not yet here.
          examples: Field to `[num_examples, …]`; none is allowed.

        Raises:
          FederationError: If the person is here already, the fields are others, or there is no room.
          WorkspaceError: If the disk is full or refuses.
        """
        arrays = self._check(user_id, examples)
        extent = Extent(self._used, len(next(iter(arrays.values()))))
        for name, column in self.columns.items():
            data = arrays[name].tobytes()
            with explain_disk_errors(column.path, len(data)), column.path.open("r+b") as target:
                target.seek(extent.start * column.row_bytes)
                target.write(data)
        self._used += extent.count
        self._extents[user_id] = extent
        return extent

    def extent(self, user_id: str) -> Extent:
        """Returns where the examples of a person who was added lie."""
        return self._extents[user_id]

    def _check(self, user_id: str, examples: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        if user_id in self._extents:
            raise FederationError(f"Expected a person that is not in the store yet, got {user_id!r} again.")
        expected = {name: (column.dtype.name, column.shape[1:]) for name, column in self.columns.items()}
        given = {name: (array.dtype.name, array.shape[1:]) for name, array in examples.items()}
        if given != expected or len({len(array) for array in examples.values()}) > 1:
            raise FederationError(f"Expected examples with the fields {expected} and one length, got {given}.")
        count = len(next(iter(examples.values())))
        if self._used + count > self._num_rows:
            raise FederationError(
                f"Expected at most {self._num_rows} examples in all, got {self._used + count}. "
                "Lay out the store for more rows."
            )
        return {name: np.ascontiguousarray(array) for name, array in examples.items()}


@contextmanager
def hold_store(
    root: Path, fields: Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]], num_rows: int
) -> Iterator[ExampleStore]:
    """Gives a store that is gone when the block is left; arguments and errors are those of `ExampleStore`."""
    try:
        yield ExampleStore(root, fields, num_rows)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def write_table(path: Path, table: npt.NDArray[Any]) -> Column:
    """Writes one array that everybody shares, such as the vectors of items, beside the examples.

    Raises:
      WorkspaceError: If the disk is full or refuses.
    """
    with explain_disk_errors(path, table.nbytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.ascontiguousarray(table).tobytes())
    return Column(path.resolve(), table.dtype, tuple(table.shape))


def read_column(column: Column) -> npt.NDArray[Any]:
    """Returns a field of all examples as it lies in its file: only pages that are read are fetched."""
    return np.memmap(column.path, column.dtype, "r", shape=column.shape)
