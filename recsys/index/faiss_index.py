"""Candidate search by FAISS (Douze et al., "The Faiss library", 2024); the only file that imports it."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from recsys.contracts.arrays import BoolArray, Float32Array, Int32Array
from recsys.errors import BundleError, ContractError
from recsys.index.exact import ExactIndex, best, check_search, check_vectors

_MARGIN = 8
"""Hits asked for beyond `count`, so that ties at the cut are broken by item index and not by FAISS's own order."""


class FaissIndex:
    """An inner-product index whose ids are item indexes."""

    def __init__(self, index: faiss.Index) -> None:
        """Wraps a FAISS index whose ids run from 1."""
        self._index = index
        self._exact = _exact_twin(index)

    @classmethod
    def build(cls, vectors: Float32Array, factory: str) -> FaissIndex:
        """Trains and fills an index.

        Args:
          vectors: `[num_items + 1, dim]` float32, row 0 is padding and stays out.
          factory: A `faiss.index_factory` string, such as "Flat", "HNSW32" or "IVF256,Flat".

        Raises:
          ContractError: If the vectors have another shape, or FAISS does not know or cannot train the factory.
        """
        check_vectors(vectors)
        rows = np.ascontiguousarray(vectors[1:])
        try:
            index = faiss.index_factory(vectors.shape[1], f"IDMap,{factory}", faiss.METRIC_INNER_PRODUCT)
            index.train(rows)
            index.add_with_ids(rows, np.arange(1, len(vectors), dtype=np.int64))
        except RuntimeError as error:
            raise ContractError(
                f"Expected a FAISS factory that {len(rows)} vectors can train, got {factory!r}: {error}"
            ) from error
        return cls(index)

    @property
    def num_items(self) -> int:
        """Items in the index."""
        return int(self._index.ntotal)

    def search(
        self, queries: Float32Array, count: int, allowed: BoolArray | None = None
    ) -> tuple[Float32Array, Int32Array]:
        """See `CandidateIndex.search`."""
        if self._exact is not None:
            return self._exact.search(queries, count, allowed)
        check_search(queries, allowed, self._index.d, self.num_items)
        wanted = min(count + _MARGIN, self.num_items)
        scores, ids = self._index.search(np.ascontiguousarray(queries), wanted, params=self._parameters(allowed))
        scores[ids < 0] = -np.inf
        return best(scores, ids, count)

    def save(self, path: Path) -> None:
        """Writes the index to a file."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path) -> FaissIndex:
        """Reads what `save` wrote.

        Raises:
          BundleError: If the file is no index.
        """
        try:
            return cls(faiss.read_index(str(path)))
        except RuntimeError as error:
            raise BundleError(f"Expected a FAISS index in {path}, got a file that is none: {error}") from error

    def _parameters(self, allowed: BoolArray | None) -> faiss.SearchParameters | None:
        if allowed is None:
            return None
        bitmap = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(bitmap)
        inner = faiss.downcast_index(self._index.index)
        if isinstance(inner, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(sel=selector, efSearch=inner.hnsw.efSearch)
        if isinstance(inner, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=selector, nprobe=inner.nprobe)
        return faiss.SearchParameters(sel=selector)


def _exact_twin(index: faiss.Index) -> ExactIndex | None:
    """A flat index scores everything anyway: numpy does that faster for one query, above all under an allow-list."""
    inner = faiss.downcast_index(index.index)
    if not isinstance(inner, faiss.IndexFlat):
        return None
    padding = np.zeros((1, index.d), np.float32)
    return ExactIndex(np.concatenate([padding, inner.reconstruct_n(0, inner.ntotal)]))
