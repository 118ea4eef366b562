"""The catalogue as arrays: one numbering of items, `item_index`, for all sides.

Index 0 is padding and every unknown item; the item of vocabulary row `r` has index `r + 1`. All arrays here have
`num_items + 1` rows, so that an `item_index` gathers from them directly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from recsys.contracts.arrays import BoolArray, Float32Array, Int8Array, Int32Array
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.events import SURFACE_CODES, Surface
from recsys.errors import ContractError
from recsys.features.id_table import IdTable

MAX_CATEGORIES = 8
"""Categories kept per item, the most telling first."""

COUNTS = ("num_impressions", "num_positives", "num_recent")
"""Columns of a vocabulary that are counted."""

VOCABULARY_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("surface", pa.int8(), nullable=False),
        pa.field("category_indexes", pa.list_(pa.int32()), nullable=False),
        pa.field("num_impressions", pa.int64(), nullable=False),
        pa.field("num_positives", pa.int64(), nullable=False),
        pa.field("num_recent", pa.int64(), nullable=False),
    ]
)
"""`vocabulary.parquet`: row r describes item_index r + 1. What is counted comes from one period: the training period
where models learn, the whole log where they serve; `num_recent` counts positives of its last tenth (in time). The
metadata key `num_categories` is a decimal number."""


@dataclass(frozen=True)
class Catalogue:
    """Items of a vocabulary.

    Attributes:
      item_ids: `num_items` ids; the item of index i is `item_ids[i - 1]`.
      surfaces: `[num_items + 1]` int8, codes of `SURFACE_CODES`; row 0 is -1.
      categories: `[num_items + 1, MAX_CATEGORIES]` int32, 0 is padding.
      num_categories: number of distinct categories (indexes run from 1 to it).
      impressions: `[num_items + 1]` float32, counts in the period that the vocabulary speaks of.
      positives: `[num_items + 1]` float32, likewise.
      recent: `[num_items + 1]` float32, positives in the last tenth of that period.
    """

    item_ids: tuple[str, ...]
    surfaces: Int8Array
    categories: Int32Array
    num_categories: int
    impressions: Float32Array
    positives: Float32Array
    recent: Float32Array

    @classmethod
    def from_vocabulary(cls, table: pa.Table) -> Catalogue:
        """Reads a table of `VOCABULARY_SCHEMA`.

        Raises:
          ContractError: If the columns or the metadata differ.
        """
        metadata = table.schema.metadata or {}
        if table.schema.names != VOCABULARY_SCHEMA.names or b"num_categories" not in metadata:
            raise ContractError(
                f"Expected a vocabulary with columns {VOCABULARY_SCHEMA.names} and `num_categories` in its metadata, "
                f"got {table.schema.names}."
            )
        categories = np.zeros((table.num_rows + 1, MAX_CATEGORIES), np.int32)
        for row, indexes in enumerate(table.column("category_indexes").to_pylist(), start=1):
            categories[row, : len(indexes[:MAX_CATEGORIES])] = indexes[:MAX_CATEGORIES]
        return cls(
            item_ids=tuple(table.column("item_id").to_pylist()),
            surfaces=np.concatenate([[-1], table.column("surface").to_numpy()]).astype(np.int8),
            categories=categories,
            num_categories=int(metadata[b"num_categories"]),
            impressions=_counts(table, "num_impressions"),
            positives=_counts(table, "num_positives"),
            recent=_counts(table, "num_recent"),
        )

    @property
    def num_items(self) -> int:
        """Items in the vocabulary, padding not counted."""
        return len(self.item_ids)

    @cached_property
    def trained_indexes(self) -> Int32Array:
        """`[num_items + 1]` int32: the index by which the item tower knows each item.

        It is 0 where training saw no positive event of the item: its row of the id table was never learned, or only
        pushed away from everybody, and the tower places such an item by its content alone.
        """
        own = np.arange(self.num_items + 1, dtype=np.int32)
        return np.where(self.positives > 0, own, 0).astype(np.int32)

    @cached_property
    def _by_recency(self) -> Int32Array:
        order = np.argsort(-self.recent, kind="stable")
        return order[self.recent[order] > 0].astype(np.int32)

    def most_recent(self, allowed: BoolArray, count: int) -> Int32Array:
        """Returns what was chosen most of late, `[up to count]` int32; equal counts stand by index.

        Args:
          allowed: `[num_items + 1]` bool.
          count: How many at most; items that nobody chose of late are not among them.
        """
        return self._by_recency[allowed[self._by_recency]][:count]

    @cached_property
    def _ids(self) -> IdTable:
        return IdTable(self.item_ids)

    def index_of(self, item_ids: Iterable[str]) -> Int32Array:
        """Returns the `item_index` of each id, 0 where it is unknown, as `[num_ids]` int32."""
        return self._ids.find(item_ids)

    def ids_of(self, item_indexes: Int32Array) -> list[str]:
        """Returns the ids of `[num]` int32 indexes, which must be from 1 up."""
        return [self.item_ids[index - 1] for index in item_indexes.tolist()]

    def on_surface(self, surface: Surface) -> BoolArray:
        """Returns `[num_items + 1]` bool: whether the item belongs to the surface (row 0 never does)."""
        return self.surfaces == SURFACE_CODES[surface]

    def align(self, snapshot: EmbeddingSnapshot) -> Float32Array:
        """Returns the vectors as `[num_items + 1, dim]` float32 in index order, row 0 zero.

        Raises:
          ContractError: If the snapshot lacks an item of the vocabulary.
        """
        row_by_id = {item_id: row for row, item_id in enumerate(snapshot.item_ids)}
        missing = [item_id for item_id in self.item_ids if item_id not in row_by_id]
        if missing:
            raise ContractError(
                f"Expected a vector for each of {self.num_items} items, got none for {len(missing)}, "
                f"the first {missing[0]!r}. Build the embeddings from the same vocabulary."
            )
        vectors = np.zeros((self.num_items + 1, snapshot.dim), np.float32)
        vectors[1:] = snapshot.vectors[[row_by_id[item_id] for item_id in self.item_ids]]
        return vectors


def share_of_recent(num_recent: int, count: int) -> int:
    """Returns how many of `count` candidates are what was chosen most of late: `num_recent`, but no more than half."""
    return min(num_recent, count // 2)


def _counts(table: pa.Table, name: str) -> Float32Array:
    return np.concatenate([[0], table.column(name).to_numpy()]).astype(np.float32)
