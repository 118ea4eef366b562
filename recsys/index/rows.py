"""Which item stands in each row of an index whose rows only ever grow."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import BoolArray, Int32Array
from recsys.errors import ContractError


class RowItems:
    """The item of each row, changed without moving a row.

    Attributes:
      codes: `[num_rows]` int32: the item index of a row in use; its negative where the item was removed; 0 where a
        later row replaced it.
    """

    def __init__(self, codes: Int32Array) -> None:
        """Holds the codes (not a copy)."""
        self.codes = codes

    @property
    def codes(self) -> Int32Array:
        """See the class."""
        return self._codes

    @codes.setter
    def codes(self, codes: Int32Array) -> None:
        self._codes = codes
        self.num_items = int(np.abs(codes).max(initial=0))
        self._is_used: BoolArray = codes > 0
        self.num_used = int(self._is_used.sum())
        self.is_plain = bool((codes == np.arange(1, len(codes) + 1)).all())

    def extend(self, items: Int32Array) -> None:
        """Tells the items of rows that were added at the end."""
        self.codes = np.concatenate([self.codes, items.astype(np.int32)])

    def replace(self, items: Int32Array) -> None:
        """Puts the rows of items out of use, whose new rows were added at the end."""
        is_old = np.isin(np.abs(self.codes), items)
        self.codes = np.concatenate([np.where(is_old, 0, self.codes), items]).astype(np.int32)

    def remove(self, items: Int32Array) -> None:
        """Puts the rows of items out of use; an item that is removed already stays so."""
        self.codes = np.where(np.isin(self.codes, items), -self.codes, self.codes).astype(np.int32)

    def mask(self, allowed: BoolArray | None) -> BoolArray | None:
        """Returns `[num_rows]` bool, the rows in use whose item is allowed; None where that is every row.

        Args:
          allowed: `[num_items + 1]` bool over item indexes, or None for all.
        """
        if self.is_plain:
            return None if allowed is None else allowed[1:]
        return self._is_used if allowed is None else self._is_used & allowed[np.abs(self.codes)]

    def check(self, items: Int32Array) -> None:
        """Refuses items that have no row to replace or remove.

        Raises:
          ContractError: If an item index is out of range, or named twice.
        """
        if items.ndim != 1 or not np.issubdtype(items.dtype, np.integer) or len(np.unique(items)) != len(items):
            raise ContractError(
                f"Expected `item_indexes` [num] of whole numbers, each once, got {list(items.shape)} {items.dtype}."
            )
        if len(items) and not 1 <= items.min() <= items.max() <= self.num_items:
            raise ContractError(
                f"Expected `item_indexes` from 1 to {self.num_items}, got {items.min()} to {items.max()}. New items "
                "are added at the end."
            )
