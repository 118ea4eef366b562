"""Rows of vectors in a FAISS index; the only file that imports it.

Douze et al., "The Faiss library", 2024. HNSW: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor
search using Hierarchical Navigable Small World graphs", TPAMI 2020. Cells of product codes: Jégou et al., "Product
quantization for nearest neighbor search", TPAMI 2011; of 4 bits each, so that they are scored in registers: André et
al., "Accelerated nearest neighbor search with Quick ADC", ICMR 2017; the best are scored again by their vectors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from recsys.errors import ConfigError

_EF_SEARCH: Final = 128
_MIN_PROBED_CELLS: Final = 8
_PROBED_SHARE: Final = 0.25
_REFINED_PROBED_SHARE: Final = 1 / 8
_REFINED_FACTOR: Final = 6.0
"""Hits by code, for each that is wanted, which are scored again by their vectors."""
_KINDS: Final = '"Flat", "HNSW<links>", "IVF<cells>,Flat", "IVF<cells>,PQ<parts>x4fsr,RFlat" or "…,Refine(SQfp16)"'


class FaissRows:
    """An inner-product index over rows that only ever grow in number."""

    def __init__(self, index: faiss.Index) -> None:
        """Wraps an index.

        Args:
          index: Of the kinds that `train` makes.

        Raises:
          ConfigError: If it is of another kind.
        """
        self._owner = index  # A downcast view does not keep the index alive.
        self._index = faiss.downcast_index(index)
        self._is_refined = isinstance(self._index, faiss.IndexRefine)
        inner = faiss.downcast_index(self._index.base_index) if self._is_refined else self._index
        self._cells: Any = inner if isinstance(inner, faiss.IndexIVF) else None
        self._exact: Any = _find_exact(self._index, inner)
        if self._exact is None and not isinstance(inner, faiss.IndexIVFFlat):
            raise ConfigError(f"Expected an index of the kind {_KINDS}, got {type(inner).__name__}.")

    @classmethod
    def train(cls, sample: Float32Array, factory: str) -> FaissRows:
        """Returns an empty index that has learned its cells and codes; `pack` it when it is filled.

        Equal samples give an equal index, however many threads FAISS uses.

        Args:
          sample: `[num_rows, dim]` float32, finite.
          factory: See `FaissIndex.train`.

        Raises:
          ConfigError: If FAISS does not know the factory or cannot train it on so many vectors.
        """
        plain = re.sub(r"x4fsr?\b", "x4np", factory)  # Not polysemous: nothing here compares codes with each other.
        try:
            index = faiss.index_factory(sample.shape[1], plain, faiss.METRIC_INNER_PRODUCT)
            trained = cls(index)
            if plain != factory:
                trained._cells.by_residual = "x4fsr" in factory
            if trained._cells is not None:
                trained._cells.cp.min_points_per_centroid = 1  # A warning on stderr is all that it guards.
            if isinstance(trained._cells, faiss.IndexIVFPQ):
                trained._cells.pq.cp.min_points_per_centroid = 1
            index.train(np.ascontiguousarray(sample))
        except RuntimeError as error:
            raise ConfigError(
                f"Expected an index factory that {len(sample)} vectors can train, got {factory!r}: {error}"
            ) from error
        trained.effort = 1.0
        return cls.read(trained.to_bytes(None))[0]  # As from a file: FAISS merges only what has the same C++ class.

    @property
    def num_rows(self) -> int:
        """Rows in the index."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    @property
    def is_exact(self) -> bool:
        """Whether a search misses nothing."""
        return self._index is self._exact

    @property
    def holds_vectors(self) -> bool:
        """Whether `vectors` can be asked for."""
        return self._exact is not None

    @property
    def can_merge(self) -> bool:
        """Whether shards of this kind can be merged; a graph cannot, nor can packed codes.

        FAISS 1.15 writes past the end of a cell whose packed size is a whole number of blocks (`add_entries`).
        """
        return self.is_exact or isinstance(self._cells, (faiss.IndexIVFFlat, faiss.IndexIVFPQ))

    @property
    def effort(self) -> float:
        """How much a search looks at, as a multiple of the default; kept in the file."""
        if self._cells is not None:
            return float(self._cells.nprobe / _default_cells(self._cells, self._is_refined))
        return 1.0 if self.is_exact else float(self._index.hnsw.efSearch / _EF_SEARCH)

    @effort.setter
    def effort(self, multiple: float) -> None:
        if self._cells is not None:
            self._cells.nprobe = int(
                np.clip(round(multiple * _default_cells(self._cells, self._is_refined)), 1, self._cells.nlist)
            )
        elif not self.is_exact:
            self._index.hnsw.efSearch = max(1, round(multiple * _EF_SEARCH))
        if self._is_refined:
            self._index.k_factor = float(_REFINED_FACTOR * max(1.0, np.sqrt(multiple)))

    def add(self, vectors: Float32Array) -> None:
        """Adds rows at the end, `[num_new, dim]` float32."""
        self._index.add(np.ascontiguousarray(vectors))

    def merge(self, other: FaissRows) -> None:
        """Takes over the rows of a shard, behind one's own; the shard is empty afterwards.

        Raises:
          ConfigError: If the kind cannot be merged (a graph), or the two were not trained alike.
        """
        if not self.can_merge:
            kind = type(self._cells or self._index).__name__
            raise ConfigError(f"Expected shards that can be merged, got {kind}: fill it whole, or pack it later.")
        parts = [(self._cells, other._cells), (self._exact, other._exact)]
        parts = [(mine, theirs) for mine, theirs in parts if mine is not None or theirs is not None]
        try:
            for mine, theirs in parts:  # All before any is changed.
                if mine is None or theirs is None:
                    raise RuntimeError("they are of different kinds")
                mine.check_compatible_for_merge(theirs)
        except RuntimeError as error:
            raise ConfigError(f"Expected a shard of the same trained index, got another: {error}") from error
        for mine, theirs in parts:
            mine.merge_from(theirs, mine.ntotal if mine is self._cells else 0)
        if self._is_refined:
            self._index.ntotal += other._index.ntotal
            other._index.ntotal = 0

    def pack(self) -> FaissRows:
        """Returns the same rows with codes of 4 bits in blocks, as they are scored fastest; itself without such."""
        if not isinstance(self._cells, faiss.IndexIVFPQ) or self._cells.pq.nbits != 4:
            return self
        fast = faiss.IndexIVFPQFastScan(self._cells)
        fast.nprobe = self._cells.nprobe
        whole = faiss.IndexRefine(fast, self._exact)
        whole.k_factor, whole.ntotal = self._index.k_factor, self.num_rows
        return FaissRows.read(bytes(faiss.serialize_index(whole)))[0]

    def search(
        self, queries: Float32Array, count: int, mask: BoolArray | None, share: float
    ) -> tuple[Float32Array, Int64Array]:
        """Searches the index's own way, which may miss rows.

        Args:
          queries: `[num_queries, dim]` float32.
          count: How many rows per query, from 1.
          mask: `[num_rows]` bool, the rows that may be found; all where it is None.
          share: Of the rows that may be found; effort grows as it shrinks, since a graph walks over all of them. By its
            root suffices for cells: of 100 items of a tenth, more than of 100 out of all (clustered: .994 against .977,
            and 1.6 times as fast as by the share itself).

        Returns:
          Scores `[num_queries, count]` float32, falling, and rows `[num_queries, count]` int64, -1 where none.
        """
        selector = _select(mask)
        if self.is_exact:
            parameters = faiss.SearchParameters(sel=selector)
        elif self._cells is None:
            ef_search = int(max(self._index.hnsw.efSearch, 2 * count) / share)
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=min(ef_search, self.num_rows))
        else:
            probed = min(int(np.ceil(self._cells.nprobe / np.sqrt(share))), self._cells.nlist)
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probed)
        if self._is_refined:
            parameters = faiss.IndexRefineSearchParameters(k_factor=self._index.k_factor, base_index_params=parameters)
        return self._search(self._index, queries, count, parameters)

    def exhaust(self, queries: Float32Array, count: int, mask: BoolArray | None) -> tuple[Float32Array, Int64Array]:
        """As `search`, but looks at every row that may be found."""
        if self._exact is not None:
            return self._search(self._exact, queries, count, faiss.SearchParameters(sel=_select(mask)))
        parameters = faiss.SearchParametersIVF(sel=_select(mask), nprobe=self._cells.nlist)
        return self._search(self._cells, queries, count, parameters)

    def vectors(self, rows: Int64Array) -> Float32Array:
        """Returns the vectors of rows, `[num, dim]` float32, where `holds_vectors`."""
        vectors: Float32Array = self._exact.reconstruct_batch(rows)
        return vectors

    def to_bytes(self, codes: Int32Array | None) -> bytes:
        """Returns the index, and one number per row `[num_rows]` int32 where given, as they lie in a file."""
        if codes is None:
            return bytes(faiss.serialize_index(self._index))
        named = faiss.IndexIDMap(faiss.IndexFlat(self.dim, faiss.METRIC_INNER_PRODUCT))  # It insists on an empty one.
        named.index, named.ntotal = self._index, self.num_rows
        faiss.copy_array_to_vector(codes.astype(np.int64), named.id_map)
        return bytes(faiss.serialize_index(named))

    @classmethod
    def read(cls, source: bytes | Path) -> tuple[FaissRows, Int32Array | None]:
        """Reads what `to_bytes` returned.

        Args:
          source: The bytes, or the file where they lie.

        Raises:
          ConfigError: If it is no such index.
        """
        try:
            if isinstance(source, Path):
                whole = faiss.read_index(str(source))
            else:
                whole = faiss.deserialize_index(np.frombuffer(source, np.uint8))
        except (RuntimeError, MemoryError) as error:
            raise ConfigError(str(error)) from error
        index = faiss.downcast_index(whole)
        if not isinstance(index, faiss.IndexIDMap):
            return cls(whole), None
        rows = cls(index.index)
        rows._owner = whole
        return rows, faiss.vector_to_array(index.id_map).astype(np.int32)

    def _search(
        self, index: faiss.Index, queries: Float32Array, count: int, parameters: faiss.SearchParameters
    ) -> tuple[Float32Array, Int64Array]:
        scores, rows = index.search(queries, count, params=parameters)
        scores[rows < 0] = -np.inf
        return scores, rows


def use_threads(num_threads: int) -> None:
    """Sets how many threads FAISS uses for one call out of the calling thread; OpenMP counts for each by itself.

    A server that answers requests in its own threads wants 1: on a busy machine the threads of a call wait for each
    other longer than they work.
    """
    faiss.omp_set_num_threads(num_threads)


def _find_exact(index: faiss.Index, inner: faiss.Index) -> faiss.Index | None:
    """The part that holds the vectors themselves, row by row, where there is one."""
    if isinstance(index, faiss.IndexHNSWFlat):
        return faiss.downcast_index(index.storage)
    if not isinstance(index, faiss.IndexRefine):
        return index if isinstance(index, faiss.IndexFlat) else None
    part = faiss.downcast_index(index.refine_index)
    is_half = isinstance(part, faiss.IndexScalarQuantizer) and part.sq.qtype == faiss.ScalarQuantizer.QT_fp16
    is_coded = isinstance(inner, (faiss.IndexIVFPQ, faiss.IndexIVFPQFastScan))
    return part if is_coded and (is_half or isinstance(part, faiss.IndexFlat)) else None


def _select(mask: BoolArray | None) -> faiss.IDSelector | None:
    return None if mask is None else faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _default_cells(cells: faiss.IndexIVF, is_refined: bool) -> int:
    share = _REFINED_PROBED_SHARE if is_refined else _PROBED_SHARE
    return min(max(_MIN_PROBED_CELLS, round(share * cells.nlist)), cells.nlist)
