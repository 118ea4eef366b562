"""Prepared examples as per-user sequences of positive items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from recsys.contracts.arrays import BoolArray, Int32Array, Int64Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS
from recsys.errors import TrainingError
from recsys.features.catalogue import Catalogue

_COLUMNS = ["user_id", "item_index", "period"]
_POSITIVE_CODES = pa.array(sorted(ACTION_CODES[action] for action in POSITIVE_ACTIONS), pa.int8())


@dataclass(frozen=True)
class Sequences:
    """What each user liked, in the order of time, one user after the other.

    Law: `offsets` rises from 0 to `len(items)`; within a user, validation follows training.

    Attributes:
      offsets: `[num_users + 1]` int64; user u owns `items[offsets[u] : offsets[u + 1]]`.
      items: `[num_positives]` int32 item indexes, never 0.
      is_validation: `[num_positives]` bool, whether the item belongs to the validation period.
    """

    offsets: Int64Array
    items: Int32Array
    is_validation: BoolArray

    @property
    def num_users(self) -> int:
        """Users with any positive."""
        return len(self.offsets) - 1

    @property
    def train_ends(self) -> Int64Array:
        """`[num_users]` int64: where in `items` each user's validation begins (the user's end, where there is none)."""
        before = np.concatenate([[0], np.cumsum(~self.is_validation)])
        return self.offsets[:-1] + before[self.offsets[1:]] - before[self.offsets[:-1]]

    def padded_histories(self, users: Int64Array, ends: Int64Array, length: int) -> Int32Array:
        """Returns what preceded some places, `[num_places, length]` int32, oldest first, zeros on the left.

        Args:
          users: `[num_places]` int64, whose place it is.
          ends: `[num_places]` int64, places in `items`; the item there is not part of its history.
          length: Items kept.
        """
        places = ends[:, None] - length + np.arange(length)
        own = places >= self.offsets[users][:, None]
        return np.where(own, self.items[np.where(own, places, 0)], 0).astype(np.int32)


def read_sequences(examples_dir: Path) -> Sequences:
    """Reads the positives of `events/`; users in the order of their ids, however they were sharded.

    An item that follows itself (a click, then a like of the same) counts once.

    Raises:
      TrainingError: If the folder holds no examples, or none of them is positive.
    """
    table, users, _ = _read_positives(examples_dir, _COLUMNS)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users))]).astype(np.int64)
    items, period = table.column("item_index").to_numpy(), table.column("period").to_numpy()
    return Sequences(offsets, items.astype(np.int32), period > 0)


def read_moments(examples_dir: Path) -> tuple[list[str], Int64Array]:
    """Returns the id of each user of `read_sequences`, and the `timestamp_ms` of each of its items.

    Raises:
      TrainingError: As `read_sequences` raises it.
    """
    table, _, user_ids = _read_positives(examples_dir, [*_COLUMNS, "timestamp_ms"])
    return user_ids, table.column("timestamp_ms").to_numpy()


def _read_positives(examples_dir: Path, columns: list[str]) -> tuple[pa.Table, Int64Array, list[str]]:
    """The rows of `Sequences`, the number of the user of each, and the ids of the users."""
    folder = examples_dir / "events"
    if not sorted(folder.glob("*.parquet")):
        raise TrainingError(f"Expected prepared examples in {folder}, got no Parquet files. Run the prepare stage.")
    known = pc.is_in(pc.field("action"), value_set=_POSITIVE_CODES) & (pc.field("item_index") > 0)
    table = ds.dataset(folder, format="parquet").to_table(columns=columns, filter=known)
    if table.num_rows == 0:
        raise TrainingError(f"Expected positive events in {folder}, got none: there is nothing to learn from.")
    names = table.column("user_id").combine_chunks().dictionary_encode()
    user_ids = np.asarray(names.dictionary.to_pylist(), object)
    rank = np.argsort(np.argsort(user_ids))
    users = rank[names.indices.to_numpy()]
    order = np.argsort(users, kind="stable")
    users, items = users[order], table.column("item_index").to_numpy()[order]
    repeated = np.concatenate([[False], (items[1:] == items[:-1]) & (users[1:] == users[:-1])])
    return table.take(pa.array(order[~repeated])), users[~repeated], sorted(user_ids.tolist())


def read_catalogue(examples_dir: Path) -> Catalogue:
    """Reads the vocabulary beside the examples.

    Raises:
      TrainingError: If there is none.
      ContractError: If it is not a vocabulary.
    """
    path = examples_dir / "vocabulary.parquet"
    if not path.is_file():
        raise TrainingError(f"Expected a vocabulary at {path}, got none. Run the prepare stage.")
    return Catalogue.from_vocabulary(pq.read_table(path))
