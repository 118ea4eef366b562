"""What one device adds to sums over all devices: which items it saw, which follow which, which go together.

Nothing here is ever read by itself: a device masks the whole vector, zeros and all, before it is sent
(`secure_sum.py`), and the server sees sums only. So that one person cannot move a sum far, a device counts its latest
choices alone, and adds to no cell more than a bound; both limit what it adds in all. Counts are whole numbers, because
masks are. So that sums of few people are not told, and less is sent, only items that enough people chose are counted
in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.config.federated import StrictSettings
from recsys.contracts.arrays import Int32Array, Int64Array
from recsys.errors import ContractError

_MOST_CELLS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Contribution:
    """A vector of whole numbers, most of them 0, before it is masked.

    Law: cells are distinct, ascending and within the vector; values are from 1 to `bound`.

    Attributes:
      cells: `[num_cells]` int32, places that are not 0.
      values: `[num_cells]` int32, what stands there.
      size: Length of the vector.
      bound: What no device exceeds in any cell.
    """

    cells: Int32Array
    values: Int32Array
    size: int
    bound: int

    def __post_init__(self) -> None:
        """Checks the law.

        Raises:
          ContractError: If it is broken.
        """
        if self.size > _MOST_CELLS:
            raise ContractError(
                f"Expected a vector of at most {_MOST_CELLS:,} cells, got {self.size:,}: too many items."
            )
        ordered = bool((np.diff(self.cells) > 0).all())
        inside = not len(self.cells) or (self.cells[0] >= 0 and self.cells[-1] < self.size)
        bounded = bool(((self.values >= 1) & (self.values <= self.bound)).all())
        if not ordered or not inside or not bounded or len(self.cells) != len(self.values):
            raise ContractError(
                f"Expected distinct ascending cells below {self.size:,} with values from 1 to {self.bound}, got others."
            )

    def expand(self) -> Int64Array:
        """Returns the whole vector, `[size]` int64."""
        vector = np.zeros(self.size, np.int64)
        vector[self.cells] = self.values
        return vector


def keep_items(history: Int32Array, kept: Int32Array) -> Int32Array:
    """Returns a history in which items are their places among those that are kept, and -1 where they are not.

    Args:
      history: `[num]` int32 items from 0, oldest first.
      kept: `[num_kept]` int32 items, distinct, at least one.

    Example:
      >>> keep_items(np.array([7, 3, 5], np.int32), np.array([7, 3], np.int32)).tolist()
      [0, 1, -1]
    """
    order = np.argsort(kept)
    places = order[np.minimum(np.searchsorted(kept, history, sorter=order), len(kept) - 1)]
    return np.where(kept[places] == history, places, -1).astype(np.int32)


def count_items(history: Int32Array, num_items: int, settings: StrictSettings) -> Contribution:
    """Returns a vector of `num_items` cells: 1 at each item that was chosen, however often.

    Args:
      history: `[num]` int32 items from 0, oldest first.
      num_items: In the catalogue.
      settings: How many choices count.

    Raises:
      ContractError: If an item is outside the catalogue.
    """
    chosen = np.unique(_latest(history, settings))
    return Contribution(chosen.astype(np.int32), np.ones(len(chosen), np.int32), num_items, 1)


def count_transitions(history: Int32Array, num_items: int, settings: StrictSettings) -> Contribution:
    """Returns a vector of `num_items` ** 2 cells: at i * num_items + j how often, and how soon, j followed i.

    A pair at lag l counts `levels` * `decay` ** (l - 1), rounded; a cell no more than `levels`, however often the pair
    came. So a device adds at most `max_history` times the levels of all lags.

    Args:
      history: `[num]` int32 items from 0, oldest first; -1 is a choice that counts for nothing but its place.
      num_items: In the catalogue.
      settings: How many choices count, how far they may lie apart, and for how much.

    Raises:
      ContractError: If an item is outside the catalogue.
    """
    latest = _latest(history, settings).astype(np.int64)
    _check(latest, num_items)
    levels = lag_levels(settings)[: max(len(latest) - 1, 0)]
    parts = [_follow(latest[:-lag], latest[lag:], num_items) for lag in range(1, len(levels) + 1)]
    values = np.repeat(levels, [len(part) for part in parts])
    cells, where = np.unique(_join(parts), return_inverse=True)
    summed = np.bincount(where, values, len(cells)).astype(np.int32)
    return Contribution(cells.astype(np.int32), np.minimum(summed, settings.levels), num_items**2, settings.levels)


def count_together(history: Int32Array, num_items: int, settings: StrictSettings) -> Contribution:
    """Returns a vector with a cell for each pair of items, each with itself too: 1 where both were chosen.

    Args:
      history: `[num]` int32 items from 0, oldest first; -1 is left out.
      num_items: In the catalogue.
      settings: How many choices count.

    Raises:
      ContractError: If an item is outside the catalogue.
    """
    chosen = np.unique(_latest(history, settings)).astype(np.int64)
    _check(chosen, num_items)
    chosen = chosen[chosen >= 0]
    first, second = np.triu_indices(len(chosen))
    cells = pair_cells(chosen[first], chosen[second], num_items).astype(np.int32)
    return Contribution(cells, np.ones(len(cells), np.int32), num_pairs(num_items), 1)


def lag_levels(settings: StrictSettings) -> Int64Array:
    """Returns what a pair at lag 1, 2, … counts, `[num_lags]` int64, as long as it is not 0."""
    weights = settings.levels * settings.decay ** np.arange(settings.window)
    rounded = np.rint(weights).astype(np.int64)
    return rounded[rounded > 0]


def num_pairs(num_items: int) -> int:
    """Returns how many pairs of items there are, each with itself among them."""
    return num_items * (num_items + 1) // 2


def pair_cells(first: Int64Array, second: Int64Array, num_items: int) -> Int64Array:
    """Returns the cells of pairs, first <= second: (0, 0), (0, 1), …, (1, 1), (1, 2), … are 0, 1, ….

    Example:
      >>> pair_cells(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2]), 3).tolist()
      [0, 1, 3, 4]
    """
    return first * (2 * num_items - first + 1) // 2 + second - first


def _latest(history: Int32Array, settings: StrictSettings) -> Int32Array:
    return history[max(len(history) - settings.max_history, 0) :]


def _follow(first: Int64Array, second: Int64Array, num_items: int) -> Int64Array:
    """Cells of pairs of which both count."""
    counted = (first >= 0) & (second >= 0)
    return first[counted] * num_items + second[counted]


def _check(items: npt.NDArray[Any], num_items: int) -> None:
    if len(items) and not (items.min() >= -1 and items.max() < num_items):
        raise ContractError(f"Expected items from 0 to {num_items - 1}, or -1, got {items.min()} to {items.max()}.")


def _join(parts: list[Int64Array]) -> Int64Array:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
