"""Candidate search by FAISS, under the laws of `CandidateIndex`.

A narrow allow-list (the open live rooms) is scored exactly, whatever the index: walking a graph or some cells would
miss most of it. Rows are only ever added, so that every kind can be changed: a replaced item gets a new row, and rows
that are out of use are hidden from the search. Rebuild when `unused_share` has grown large.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.errors import BundleError, ConfigError, ContractError
from recsys.index.exact import check_search, check_vectors, search_rows, select_best
from recsys.index.faiss_rows import FaissRows
from recsys.index.rows import RowItems

_NARROW_SHARE: Final = 0.2
_NARROW_ITEMS: Final = 50_000
"""An allow-list of up to this share and number of the rows is scored exactly, gathered: with a selector FAISS scores
row by row, which takes twice as long for any number (40,000 of 200,000 × 64: 8.5 ms against 4.6)."""
_OPEN_SHARE: Final = 0.9
"""From this share of the rows on, hidden ones are dropped from the hits and not kept out of the search: with a selector
FAISS takes twice as long for one query (1,000,000 × 64, 1 % hidden)."""
_MARGIN: Final = 8
"""Hits asked for beyond `count`, so that ties at the cut are broken by item index and not by FAISS's own order."""


class FaissIndex:
    """An inner-product index, built in one go or piece by piece.

    Searches may run beside each other, but not beside `add`, `replace`, `remove`, `merge` or a change of `effort`.
    """

    def __init__(self, rows: FaissRows, codes: Int32Array | None = None) -> None:
        """Wraps rows; `train`, `build` and `load` are the ways in.

        Args:
          rows: The vectors.
          codes: `[num_rows]` int32, the item of each row (see `RowItems`); row r is item r + 1 where it is None.
        """
        self._rows = rows
        self._items = RowItems(np.arange(1, rows.num_rows + 1, dtype=np.int32) if codes is None else codes)

    @classmethod
    def train(cls, sample: Float32Array, factory: str) -> FaissIndex:
        """Returns an empty index that has learned its cells and codes; `pack` it when it is filled.

        Equal samples give an equal index, however many threads FAISS uses.

        Args:
          sample: `[num_rows, dim]` float32, finite; item vectors, without padding.
          factory: "Flat", "HNSW32", "IVF256,Flat", "IVF1024,PQ32x4fsr,RFlat" or "IVF1024,PQ32x4fsr,Refine(SQfp16)",
            with numbers of one's own.

        Raises:
          ConfigError: If FAISS does not know the factory or cannot train it on so many vectors.
        """
        return cls(FaissRows.train(sample, factory))

    @classmethod
    def build(cls, vectors: Float32Array, factory: str) -> FaissIndex:
        """Trains on all vectors and adds them in one piece; see `recsys.index.building` for large catalogues.

        Args:
          vectors: `[num_items + 1, dim]` float32, finite; row 0 is padding and stays out.
          factory: See `train`.

        Raises:
          ContractError: If the vectors have another shape.
          ConfigError: If FAISS does not know the factory or cannot train it on so many vectors.
        """
        check_vectors(vectors)
        index = cls.train(vectors[1:], factory)
        index.add(vectors[1:])
        index.pack()
        return index

    @property
    def num_items(self) -> int:
        """The highest item index; removed items count, so that allow-lists keep their length."""
        return self._items.num_items

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._rows.dim

    @property
    def unused_share(self) -> float:
        """Share of the rows that removed and replaced items have left behind."""
        return 1.0 - self._items.num_used / max(1, self._rows.num_rows)

    @property
    def can_merge(self) -> bool:
        """Whether shards of this kind can be merged; a graph cannot, nor can packed codes."""
        return self._rows.can_merge

    @property
    def effort(self) -> float:
        """How much a search looks at, as a multiple of the default; kept in the file."""
        return self._rows.effort

    @effort.setter
    def effort(self, multiple: float) -> None:
        self._rows.effort = multiple

    def add(self, vectors: Float32Array) -> None:
        """Adds items at the end: the first gets item index `num_items + 1`.

        Args:
          vectors: `[num_new, dim]` float32, finite.

        Raises:
          ContractError: If the vectors have another shape.
        """
        self._append(vectors)
        first = self.num_items + 1
        self._items.extend(np.arange(first, first + len(vectors), dtype=np.int32))

    def replace(self, item_indexes: Int32Array, vectors: Float32Array) -> None:
        """Gives items other vectors; removed ones are found again.

        Args:
          item_indexes: `[num]` int32, each once, from 1 to `num_items`.
          vectors: `[num, dim]` float32, finite.

        Raises:
          ContractError: If the arguments do not fit the index; then nothing has changed.
        """
        self._items.check(item_indexes)
        if len(vectors) != len(item_indexes):
            raise ContractError(f"Expected one vector per item, got {len(vectors)} for {len(item_indexes)} items.")
        self._append(vectors)
        self._items.replace(item_indexes)

    def remove(self, item_indexes: Int32Array) -> None:
        """Takes items out of every search, until they are replaced; the others keep their item indexes.

        Args:
          item_indexes: `[num]` int32, each once, from 1 to `num_items`.

        Raises:
          ContractError: If an item index is unknown; then nothing has changed.
        """
        self._items.check(item_indexes)
        self._items.remove(item_indexes)

    def merge(self, other: FaissIndex) -> None:
        """Takes over the items of a shard, behind one's own; the shard is empty afterwards.

        Args:
          other: Filled from the same trained index.

        Raises:
          ConfigError: If indexes of this kind cannot be merged, or the two were not trained alike.
        """
        codes, first = other._items.codes, self.num_items
        self._rows.merge(other._rows)
        self._items.extend(np.sign(codes) * (np.abs(codes) + first))
        other._items = RowItems(codes[:0])

    def pack(self) -> None:
        """Lays out codes of 4 bits as they are searched fastest; items may be added still, but no shards."""
        self._rows = self._rows.pack()

    def search(
        self, queries: Float32Array, count: int, allowed: BoolArray | None = None
    ) -> tuple[Float32Array, Int32Array]:
        """See `CandidateIndex.search`. HNSW and IVF may miss items, but never give a wrong score or a forbidden one.

        A filter loses nothing: few allowed items are scored exactly, and so are all of them for a query that found
        fewer than there are.
        """
        check_search(queries, count, allowed, self.dim, self.num_items)
        top_scores = np.full((len(queries), count), -np.inf, np.float32)
        top_items = np.zeros((len(queries), count), np.int32)
        mask = self._items.mask(allowed)
        num_allowed = self._rows.num_rows if mask is None else int(np.count_nonzero(mask))
        if not len(queries) or not num_allowed:
            return top_scores, top_items
        queries = np.ascontiguousarray(queries)
        is_narrow = num_allowed <= min(_NARROW_ITEMS, _NARROW_SHARE * self._rows.num_rows)
        if mask is not None and is_narrow and self._rows.holds_vectors:
            rows = np.flatnonzero(mask)
            return search_rows(queries, count, self._rows.vectors(rows), self._items.codes[rows])
        last, lost = min(count, num_allowed) - 1, np.arange(len(queries))
        if not is_narrow and not self._rows.is_exact:
            share = num_allowed / self._rows.num_rows
            for drops in (True, False) if mask is not None and share >= _OPEN_SHARE else (False,):
                top_scores[lost], top_items[lost] = self._find(queries[lost], count, mask, share, drops)
                lost = lost[top_items[lost, last] == 0]
                if not len(lost):
                    break
        if len(lost) and (mask is not None or self._rows.is_exact):
            top_scores[lost], top_items[lost] = self._exhaust(queries[lost], count, mask)
        return top_scores, top_items

    def save(self, path: Path) -> None:
        """Writes the index to a file.

        Raises:
          OSError: If the file cannot be written.
        """
        path.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> FaissIndex:
        """Reads what `save` wrote.

        Raises:
          BundleError: If the file is no such index.
        """
        try:
            return cls(*FaissRows.read(path))
        except ConfigError as error:
            raise BundleError(f"Expected a FAISS index in {path}, got a file that is none: {error}") from error

    def to_bytes(self) -> bytes:
        """Returns the index as it lies in a file."""
        return self._rows.to_bytes(None if self._items.is_plain else self._items.codes)

    @classmethod
    def from_bytes(cls, content: bytes) -> FaissIndex:
        """Reads what `to_bytes` returned.

        Raises:
          BundleError: If the bytes are no such index.
        """
        try:
            return cls(*FaissRows.read(content))
        except ConfigError as error:
            raise BundleError(f"Expected a FAISS index, got {len(content)} bytes that are none: {error}") from error

    def _append(self, vectors: Float32Array) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or vectors.dtype != np.float32:
            raise ContractError(
                f"Expected `vectors` [num, {self.dim}] float32, got {list(vectors.shape)} {vectors.dtype}."
            )
        if not np.isfinite(vectors).all():
            raise ContractError("Expected finite `vectors` to index, got NaN or infinity.")
        self._rows.add(vectors)

    def _find(
        self, queries: Float32Array, count: int, mask: BoolArray | None, share: float, drops: bool
    ) -> tuple[Float32Array, Int32Array]:
        """Returns what the index finds its own way; where it `drops`, hidden hits leave the last places empty."""
        if mask is None or not drops:
            found = self._rows.search(queries, min(count + _MARGIN, self._rows.num_rows), mask, share)
            return self._select(*found, count)
        wanted = min(int(np.ceil(count / share)) + _MARGIN, self._rows.num_rows)
        scores, rows = self._rows.search(queries, wanted, None, 1.0)
        scores[~mask[rows]] = -np.inf
        return self._select(scores, rows, count)

    def _exhaust(self, queries: Float32Array, count: int, mask: BoolArray | None) -> tuple[Float32Array, Int32Array]:
        """Returns what a search of every allowed row finds: the best `count`, ties at the cut by item index."""
        num_rows = self._rows.num_rows
        wanted = min(count + _MARGIN, num_rows)
        while True:
            scores, rows = self._rows.exhaust(queries, wanted, mask)
            tied = count < wanted and bool(((scores[:, count - 1] == scores[:, -1]) & (rows[:, -1] >= 0)).any())
            if not tied or wanted == num_rows:
                break
            wanted = min(4 * wanted, num_rows)
        return self._select(scores, rows, count)

    def _select(self, scores: Float32Array, rows: Int64Array, count: int) -> tuple[Float32Array, Int32Array]:
        top_scores = np.full((len(scores), count), -np.inf, np.float32)
        top_items = np.zeros((len(scores), count), np.int32)
        names = np.where(rows < 0, 0, self._items.codes[rows]).astype(np.int32)
        select_best(scores, names, top_scores, top_items)
        return top_scores, top_items
