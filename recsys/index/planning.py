"""Which kind of index fits a catalogue, in whole numbers that can be checked by hand.

Up to some 50,000 items exact search costs half a millisecond, as much as any other (`tandem bench index`). A graph
finds more than cells where vectors have little structure, but its links take as much memory as the vectors, and its
building grows faster than the catalogue; for large ones it gives way to cells of product codes, whose best hits are
scored again by the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from recsys.errors import ConfigError

AUTO: Final = "auto"
FLAT_ITEMS: Final = 50_000
HNSW_ITEMS: Final = 200_000
_LINKS: Final = 32
_MIN_CODED_ITEMS: Final = 10_000
_MAX_CELLS: Final = 65_536
_ID_BYTES: Final = 8


@dataclass(frozen=True)
class IndexPlan:
    """A factory, and what it needs.

    Attributes:
      factory: As `faiss.index_factory` reads it.
      size_bytes: Of the filled index, without what does not grow with the items.
    """

    factory: str
    size_bytes: int


def plan_index(num_items: int, dim: int, memory_bytes: int) -> IndexPlan:
    """Returns the fastest kind of index that finds enough and fits into memory.

    Args:
      num_items: Size of the catalogue, from 1.
      dim: Length of a vector.
      memory_bytes: What the index may take.

    Raises:
      ConfigError: If none fits.
    """
    plans = list(_plans(num_items, dim))
    for plan in plans:
        if plan.size_bytes <= memory_bytes:
            return plan
    smallest = min(plans, key=lambda plan: plan.size_bytes)
    raise ConfigError(
        f"Expected memory for an index of {num_items} items, got {memory_bytes} bytes, and {smallest.factory} takes "
        f"{smallest.size_bytes}. Raise `index.memory_mb` or lower `retrieval.dim`."
    )


def count_cells(num_items: int) -> int:
    """Returns the power of two next above √num_items, so that a cell holds some √num_items items, up to 2¹⁶.

    Codes of 4 bits are scored so fast that few, large cells cost no more than the choice among many; with four times
    as many a million clustered vectors took three times as long to build and no less to search (`tandem bench index`).
    """
    cells = 1
    while cells * cells < num_items and cells < _MAX_CELLS:
        cells *= 2
    return cells


def _plans(num_items: int, dim: int) -> Iterator[IndexPlan]:
    """Yields what suits the size, the best first."""
    vector_bytes = 4 * dim
    if num_items <= FLAT_ITEMS:
        yield IndexPlan("Flat", num_items * vector_bytes)
    elif num_items <= HNSW_ITEMS:
        yield IndexPlan(f"HNSW{_LINKS}", num_items * (vector_bytes + 4 * 2 * _LINKS + _ID_BYTES))
    if num_items >= _MIN_CODED_ITEMS:
        num_parts = dim // 2 if dim % 2 == 0 else dim
        cells = f"IVF{count_cells(num_items)},PQ{num_parts}x4fsr"
        code_bytes = (num_parts + 1) // 2 + _ID_BYTES
        yield IndexPlan(f"{cells},RFlat", num_items * (code_bytes + vector_bytes))
        yield IndexPlan(f"{cells},Refine(SQfp16)", num_items * (code_bytes + vector_bytes // 2))
