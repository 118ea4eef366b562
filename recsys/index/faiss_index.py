"""Candidate search by FAISS; the only file that imports it.

Douze et al., "The Faiss library", 2024. HNSW: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor
search using Hierarchical Navigable Small World graphs", TPAMI 2020. A narrow allow-list (the open live rooms) is
scored exactly, whatever the index: walking a graph or some cells would miss most of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import faiss
import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.errors import BundleError, ConfigError
from recsys.index.exact import allowed_items, check_search, check_vectors, search_rows, select_best

_NARROW_SHARE: Final = 0.2
"""An allow-list of up to this share of the items is scored exactly, without FAISS."""
_MARGIN: Final = 8
"""Hits asked for beyond `count`, so that ties at the cut are broken by item index and not by FAISS's own order."""
_MIN_EF_SEARCH: Final = 128
_PROBED_SHARE: Final = 0.25
_MIN_PROBED_CELLS: Final = 8


class FaissIndex:
    """An inner-product index; row r of the FAISS index is item r + 1.

    FAISS's thread pool belongs to the process, so searching leaves it as it is; see `use_threads`.
    """

    def __init__(self, index: faiss.Index) -> None:
        """Wraps a filled index.

        Args:
          index: Of the kinds that `build` makes.

        Raises:
          ConfigError: If it is of another kind.
        """
        self._owner = index  # The downcast view does not keep the index alive.
        self._index = faiss.downcast_index(index)
        if not isinstance(self._index, (faiss.IndexFlat, faiss.IndexHNSWFlat, faiss.IndexIVFFlat)):
            raise ConfigError(
                f'Expected an index of the kind "Flat", "HNSW<links>" or "IVF<cells>,Flat", '
                f"got {type(self._index).__name__}."
            )

    @classmethod
    def build(cls, vectors: Float32Array, factory: str) -> FaissIndex:
        """Trains and fills an index; equal vectors give an equal index, however many threads FAISS uses.

        Args:
          vectors: `[num_items + 1, dim]` float32, finite; row 0 is padding and stays out.
          factory: "Flat", "HNSW<links>" such as "HNSW32", or "IVF<cells>,Flat" such as "IVF256,Flat".

        Raises:
          ContractError: If the vectors have another shape.
          ConfigError: If FAISS does not know the factory or cannot train it on so many vectors.
        """
        check_vectors(vectors)
        try:
            return cls(_fill(np.ascontiguousarray(vectors[1:]), factory))
        except RuntimeError as error:
            raise ConfigError(
                f"Expected an index factory that {len(vectors) - 1} vectors can train, got {factory!r}: {error}"
            ) from error

    @property
    def num_items(self) -> int:
        """Items in the index."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(
        self, queries: Float32Array, count: int, allowed: BoolArray | None = None
    ) -> tuple[Float32Array, Int32Array]:
        """See `CandidateIndex.search`. HNSW and IVF may miss items, but never give a wrong score or a forbidden one."""
        check_search(queries, count, allowed, self.dim, self.num_items)
        share = 1.0
        if allowed is not None:
            items = allowed_items(allowed)
            share = len(items) / self.num_items
            if share <= _NARROW_SHARE:
                return search_rows(queries, count, self._rows(items), items)
        top_scores = np.full((len(queries), count), -np.inf, np.float32)
        top_items = np.zeros((len(queries), count), np.int32)
        if len(queries):
            select_best(*self._hits(np.ascontiguousarray(queries), count, allowed, share), top_scores, top_items)
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
            return cls(faiss.read_index(str(path)))
        except (RuntimeError, MemoryError, ConfigError) as error:
            raise BundleError(f"Expected a FAISS index in {path}, got a file that is none: {error}") from error

    def to_bytes(self) -> bytes:
        """Returns the index as it lies in a file."""
        return bytes(faiss.serialize_index(self._index))

    @classmethod
    def from_bytes(cls, content: bytes) -> FaissIndex:
        """Reads what `to_bytes` returned.

        Raises:
          BundleError: If the bytes are no such index.
        """
        try:
            return cls(faiss.deserialize_index(np.frombuffer(content, np.uint8)))
        except (RuntimeError, MemoryError, ConfigError) as error:
            raise BundleError(f"Expected a FAISS index, got {len(content)} bytes that are none: {error}") from error

    def _hits(
        self, queries: Float32Array, count: int, allowed: BoolArray | None, share: float
    ) -> tuple[Float32Array, Int32Array]:
        """Returns scores and item indexes `[num_queries, num_hits]` that hold the best `count` and all their ties."""
        wanted = min(count + _MARGIN, self.num_items)
        while True:
            parameters = self._parameters(wanted, allowed, share)
            scores, rows = self._index.search(queries, wanted, params=parameters)
            scores[rows < 0] = -np.inf
            tied = count < wanted and bool(((scores[:, count - 1] == scores[:, -1]) & (rows[:, -1] >= 0)).any())
            if not tied or wanted == self.num_items or not isinstance(self._index, faiss.IndexFlat):
                return scores, (rows + 1).astype(np.int32)
            wanted = min(4 * wanted, self.num_items)

    def _parameters(self, wanted: int, allowed: BoolArray | None, share: float) -> faiss.SearchParameters:
        """Effort grows as the allowed share shrinks: what is not allowed is walked over all the same."""
        selector = None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed[1:], bitorder="little"))
        if isinstance(self._index, faiss.IndexHNSWFlat):
            ef_search = int(max(_MIN_EF_SEARCH, 2 * wanted) / share)
            return faiss.SearchParametersHNSW(sel=selector, efSearch=min(ef_search, self.num_items))
        if isinstance(self._index, faiss.IndexIVFFlat):
            num_probed = int(max(_MIN_PROBED_CELLS, _PROBED_SHARE * self._index.nlist) / share)
            return faiss.SearchParametersIVF(sel=selector, nprobe=min(num_probed, self._index.nlist))
        return faiss.SearchParameters(sel=selector)

    def _rows(self, item_indexes: Int32Array) -> Float32Array:
        """Returns the vectors of items; straight from memory where they lie there in order."""
        rows = item_indexes.astype(np.int64) - 1
        if isinstance(self._index, faiss.IndexIVFFlat):
            return self._index.reconstruct_batch(rows) if len(rows) else np.zeros((0, self.dim), np.float32)
        flat = self._index if isinstance(self._index, faiss.IndexFlat) else faiss.downcast_index(self._index.storage)
        stored = faiss.rev_swig_ptr(flat.get_xb(), self.num_items * self.dim).reshape(self.num_items, self.dim)
        return stored[rows]


def use_threads(num_threads: int) -> None:
    """Sets how many threads FAISS uses for one call, in the whole process.

    A server that answers requests in its own threads wants 1: on a busy machine the threads of a call wait for each
    other longer than they work.
    """
    faiss.omp_set_num_threads(num_threads)


def _fill(rows: Float32Array, factory: str) -> faiss.Index:
    index = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    cells = faiss.downcast_index(index)
    if isinstance(cells, faiss.IndexIVF):
        cells.cp.min_points_per_centroid = 1  # A warning on stderr is all that it guards.
    index.train(rows)
    index.add(rows)
    if isinstance(cells, faiss.IndexIVF):
        cells.make_direct_map()
    return index
