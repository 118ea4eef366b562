"""What each user chose, read from the prepared examples in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.prepare.examples import TRAIN
from pipelines.prepare.statistics import POSITIVE_CODES
from recsys.contracts.arrays import Int32Array, Int64Array

_COLUMNS = ["user_id", "item_index", "action", "period"]


@dataclass(frozen=True)
class Histories:
    """Items of some users, one user after the other.

    Attributes:
      offsets: `[num_users + 1]` int64, rising from 0; user u owns `items[offsets[u] : offsets[u + 1]]`.
      items: `[num]` int32 item indexes, never 0.
    """

    offsets: Int64Array
    items: Int32Array

    @property
    def lengths(self) -> Int64Array:
        """`[num_users]` int64: how many items each user has."""
        return np.diff(self.offsets)

    @property
    def users(self) -> Int64Array:
        """`[num]` int64: whose each item is."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


def read_histories(path: Path, batch_rows: int, whole: bool = False) -> Iterator[Histories]:
    """Yields the histories of whole users in the training period, each user once, items oldest first.

    As in training, an item that follows itself (a click, then a like of the same) counts once. Users without
    positives are left out.

    Args:
      path: One part of the prepared events: rows by user and time.
      batch_rows: Rows that are read at once; the rows of one user are held together however many they are.
      whole: Whether to read the validation period, too.
    """
    rest: pa.Table | None = None
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_rows, columns=_COLUMNS):
            part = _positives(pa.Table.from_batches([batch]), whole)
            table = part if rest is None else pa.concat_tables([rest, part])
            if table.num_rows == 0:
                continue
            last_user = int(_first_rows(table)[-1])
            rest = table.slice(last_user)
            if last_user > 0:
                yield _to_histories(table.slice(0, last_user))
    if rest is not None:
        yield _to_histories(rest)


def keep_distinct(histories: Histories, max_items: int) -> Histories:
    """Returns each user's distinct items among the last `max_items`, rising within the user."""
    to_end = np.repeat(histories.offsets[1:], histories.lengths) - np.arange(len(histories.items))
    recent = to_end <= max_items
    users, items = histories.users[recent], histories.items[recent].astype(np.int64)
    width = int(items.max(initial=0)) + 1
    users, items = np.divmod(np.unique(users * width + items), width)
    counts = np.bincount(users, minlength=len(histories.offsets) - 1)
    return Histories(_offsets(counts), items.astype(np.int32))


def _positives(table: pa.Table, whole: bool) -> pa.Table:
    chosen = np.isin(table.column("action").to_numpy(), POSITIVE_CODES)
    if not whole:
        chosen &= table.column("period").to_numpy() == TRAIN
    chosen &= table.column("item_index").to_numpy() > 0
    return table.filter(pa.array(chosen)).select(["user_id", "item_index"])


def _first_rows(table: pa.Table) -> Int64Array:
    users = table.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy()
    return np.flatnonzero(np.diff(users, prepend=-1))


def _to_histories(table: pa.Table) -> Histories:
    items = table.column("item_index").to_numpy()
    first = np.zeros(len(items), np.bool_)
    first[_first_rows(table)] = True
    kept = first.copy()
    kept[1:] |= items[1:] != items[:-1]
    users = np.cumsum(first)[kept] - 1
    return Histories(_offsets(np.bincount(users)), items[kept].astype(np.int32))


def _offsets(lengths: Int64Array) -> Int64Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
