"""How many bits each cell of a sum takes: no more than what the sum can come to.

A device adds to a pair's cell at most a bound, and only if it chose both items: so the sum is at most the bound times
the number of devices that chose the row's item, which the first round has told. Tables have the rarer items in front,
so that cells of as many bits lie together, and each such segment is summed by a modulus of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from recsys.contracts.arrays import Int64Array
from recsys.errors import FederationError

_MOST_BITS: Final = 30
"""TFF adds up packs in int32 before it takes the modulus."""


@dataclass(frozen=True)
class Segment:
    """Cells of a vector that lie together, and the bits of their modulus."""

    num_cells: int
    bits: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the segment in an upload: the cells packed to their bits."""
        return -(-self.num_cells * self.bits // 8)


def cut_rows(bounds: Sequence[int] | Int64Array, lengths: Sequence[int] | Int64Array) -> tuple[Segment, ...]:
    """Returns the segments of a vector that consists of rows.

    Args:
      bounds: `[num_rows]`, what no sum in a row exceeds.
      lengths: `[num_rows]`, cells of each row.

    Raises:
      FederationError: If a sum could take more than 30 bits.
    """
    rows = [(int(bound).bit_length(), int(length)) for bound, length in zip(bounds, lengths, strict=True)]
    if any(bits > _MOST_BITS for bits, _ in rows):
        raise FederationError(
            f"Expected sums below 2 ** {_MOST_BITS}, got up to {max(int(bound) for bound in bounds):,}. "
            "Lower `strict.levels`, or sum over fewer devices."
        )
    groups = ((bits, sum(length for _, length in group)) for bits, group in groupby(rows, lambda row: row[0]))
    return tuple(Segment(num_cells, bits) for bits, num_cells in groups if num_cells)


def cut_items(num_devices: int, num_items: int) -> tuple[Segment, ...]:
    """Returns the segment of the first round's sum; errors are those of `cut_rows`."""
    return cut_rows([num_devices], [num_items])


def cut_transitions(counts: Int64Array, levels: int) -> tuple[Segment, ...]:
    """Returns the segments of the sum of transitions; errors are those of `cut_rows`.

    Args:
      counts: `[num_kept]` int64, how many devices chose each item that is kept.
      levels: What one device adds to a cell at most.
    """
    return cut_rows(counts * levels, np.full(len(counts), len(counts)))


def cut_pairs(counts: Int64Array) -> tuple[Segment, ...]:
    """Returns the segments of the sum of pairs; errors are those of `cut_rows`.

    Args:
      counts: `[num_kept]` int64, how many devices chose each item that is kept, ascending.
    """
    return cut_rows(counts, np.arange(len(counts), 0, -1))
