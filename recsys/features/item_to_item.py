"""Item-to-item statistics: how strongly each item of a history speaks for each candidate.

Three kinds, counted over the training period (see `pipelines/statistics`): *transitions*, what follows what;
*co-occurrence*, what is chosen by the same people (the cosine of Item-Based Collaborative Filtering Recommendation
Algorithms, Sarwar et al., WWW 2001); *EASE*, the linear model of Embarrassingly Shallow Autoencoders for Sparse Data,
Steck, WWW 2019, where the catalogue was small enough to solve it. Deviations: of each source only the strongest
targets are kept, and a history is weighted by recency.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from recsys.errors import ContractError

_T = TypeVar("_T", np.int32, np.float32)

TRANSITIONS: Final = "transitions"
CO_OCCURRENCE: Final = "co_occurrence"
EASE: Final = "ease"

KINDS: Final = (TRANSITIONS, CO_OCCURRENCE, EASE)
"""Values of `kind`; a bundle may lack a kind, which then scores 0."""

ITEM_TO_ITEM_SCHEMA: Final = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("targets", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
        pa.field("weights", pa.list_(pa.field("item", pa.float32(), nullable=False)), nullable=False),
    ]
)
"""`item_to_item.parquet`: rows by kind, in the order of `KINDS`, and source; targets rise. Both are item indexes."""

HISTORY_LENGTH: Final = 100
"""Items of a history that are worth passing, the latest: on MovieLens 1M 100 do as well as all, 50 do not."""

_NEGLIGIBLE: Final = 2.0**-16
"""Share of a whole item below which an item of the history is left out."""


@dataclass(frozen=True)
class Profile:
    """How the items of a history weigh: k items from the end, `floor + (1 - floor) * 2 ** (-k / half_life_items)`."""

    kind: str
    floor: float
    half_life_items: float = 1.0

    def weights(self, length: int) -> Float64Array:
        """Returns the weights of the last items of a history, `[num]` float64 with `num <= length`, oldest first."""
        age = np.arange(length - 1, -1, -1)
        weights = self.floor + (1.0 - self.floor) * np.exp2(-age / self.half_life_items)
        return weights[weights >= _NEGLIGIBLE]


PROFILES: Final[Mapping[str, Profile]] = {
    "transitions": Profile(TRANSITIONS, floor=0.0, half_life_items=2.0),
    "co_occurrence": Profile(CO_OCCURRENCE, floor=1.0),
    "ease": Profile(EASE, floor=1.0),
    "recent_ease": Profile(EASE, floor=0.05, half_life_items=3.0),
}
"""The scores, by name and in the order of the last axis of `ItemToItem.score`."""


@dataclass(frozen=True)
class _Rows:
    """One kind as a sparse matrix: source s owns the places from `offsets[s]` to `offsets[s + 1]`."""

    offsets: Int64Array
    targets: Int32Array
    weights: Float32Array

    def gather(self, sources: Int32Array) -> tuple[Int32Array, Float32Array, Int64Array]:
        """Returns targets and weights of some rows, one after the other, and the length of each row."""
        starts, ends = self.offsets[sources], self.offsets[sources + 1]
        targets, weights = self._join(self.targets, starts, ends), self._join(self.weights, starts, ends)
        return targets, weights, ends - starts

    def find(self, sources: Int32Array, slots: Int32Array) -> tuple[Int64Array, Int32Array, Float32Array]:
        """Returns what some rows say of the items that have a slot, `[num_found]` each.

        Args:
          sources: `[num_rows]` int32.
          slots: `[num_items + 1]` int32, above 0 where an item has one.

        Returns:
          Number of the row (from 0), slot of the target, and weight.
        """
        starts, ends = self.offsets[sources], self.offsets[sources + 1]
        own = slots.take(self._join(self.targets, starts, ends), mode="clip")
        # Most targets are no candidates: only where one is found is its weight fetched.
        found = np.flatnonzero(own)
        before = np.cumsum(ends - starts)
        rows = np.searchsorted(before, found, side="right")
        return rows, own[found], self.weights[found + (ends - before)[rows]]

    @staticmethod
    def _join(values: npt.NDArray[_T], starts: Int64Array, ends: Int64Array) -> npt.NDArray[_T]:
        spans = list(zip(starts.tolist(), ends.tolist(), strict=True))
        parts: list[npt.NDArray[_T]] = [values[start:end] for start, end in spans]
        return np.concatenate([values[:0], *parts])


class ItemToItem:
    """The statistics of a bundle; never changed, callable from any thread."""

    def __init__(self, num_items: int, rows: Mapping[str, _Rows]) -> None:
        """Keeps the rows of each kind; see `from_table`."""
        self.num_items = num_items
        self._rows = rows

    @classmethod
    def from_table(cls, table: pa.Table, num_items: int) -> ItemToItem:
        """Reads a table of `ITEM_TO_ITEM_SCHEMA`.

        Args:
          table: Any number of rows, none included.
          num_items: Of the catalogue that the indexes speak of.

        Raises:
          ContractError: If the columns differ, the rows are out of order, a row's lists differ in length, an index is
            none of the catalogue, or a weight is not finite.
        """
        if table.schema.names != ITEM_TO_ITEM_SCHEMA.names:
            raise ContractError(
                f"Expected item-to-item statistics with columns {ITEM_TO_ITEM_SCHEMA.names}, got {table.schema.names}."
            )
        kinds = np.asarray(table.column("kind").to_pylist(), object)
        return cls(
            num_items,
            {
                kind: _read_rows(table.slice(found[0], len(found)), num_items)
                for kind in KINDS
                if len(found := np.flatnonzero(kinds == kind))
            },
        )

    def score(self, histories: Int32Array, candidates: Int32Array) -> Float32Array:
        """Returns a score per list, candidate and profile, `[num_lists, num_candidates, len(PROFILES)]` float32.

        Args:
          histories: `[num_lists, length]` int32 item indexes, oldest first, 0 is padding and on the left.
          candidates: `[num_lists, num_candidates]` int32 item indexes; 0 is padding and scores 0.
        """
        scores = np.zeros((*candidates.shape, len(PROFILES)), np.float32)
        slots = np.zeros(self.num_items + 1, np.int32)
        for row, (history, own) in enumerate(zip(histories, candidates, strict=True)):
            # Targets outside the list fall into slot 0, so that the sums are as long as the list, not the catalogue.
            slots[own] = np.arange(1, len(own) + 1)
            slots[0] = 0
            places = slots[own]
            for column, sums in self._sums(history[history > 0], slots, len(own) + 1):
                scores[row, :, column] = sums[places]
            slots[own] = 0
        return scores

    def score_all(self, history: Int32Array, profile: str) -> Float32Array:
        """Returns the score of every item, `[num_items + 1]` float32; row 0 is 0.

        Args:
          history: `[num]` int32 item indexes, oldest first.
          profile: A key of `PROFILES`.
        """
        weigh = PROFILES[profile]
        if weigh.kind not in self._rows:
            return np.zeros(self.num_items + 1, np.float32)
        weights = weigh.weights(len(history))
        targets, own, lengths = self._rows[weigh.kind].gather(history[len(history) - len(weights) :])
        return np.bincount(targets, np.repeat(weights, lengths) * own, self.num_items + 1).astype(np.float32)

    def _sums(self, history: Int32Array, slots: Int32Array, num_slots: int) -> Iterator[tuple[int, Float64Array]]:
        """Yields (column, `[num_slots]` float64 sums of the weights that fall into each slot)."""
        for kind, rows in self._rows.items():
            weighted = [
                (column, profile.weights(len(history)))
                for column, profile in enumerate(PROFILES.values())
                if profile.kind == kind
            ]
            longest = max(len(weights) for _, weights in weighted)
            found, places, own = rows.find(history[len(history) - longest :], slots)
            for column, weights in weighted:
                of_row = np.concatenate([np.zeros(longest - len(weights)), weights])
                yield column, np.bincount(places, of_row[found] * own, num_slots).astype(np.float64)


def _read_rows(table: pa.Table, num_items: int) -> _Rows:
    """Reads the rows of one kind."""
    targets, weights = (table.column(name).combine_chunks() for name in ("targets", "weights"))
    sources = table.column("source").to_numpy()
    lengths = np.diff(targets.offsets.to_numpy())
    items, values = targets.flatten().to_numpy(), weights.flatten().to_numpy()
    if not np.array_equal(lengths, np.diff(weights.offsets.to_numpy())):
        raise ContractError("Expected as many weights as targets in each row of item-to-item statistics, got others.")
    indexes = np.concatenate([sources, items])
    if (np.diff(sources) <= 0).any() or ((indexes < 1) | (indexes > num_items)).any():
        raise ContractError(
            f"Expected item-to-item statistics of rising sources, with indexes from 1 to {num_items}, got others. "
            "Publish them with the vocabulary that they were counted with."
        )
    if not np.isfinite(values).all():
        raise ContractError("Expected finite weights in item-to-item statistics, got NaN or infinity.")
    length_of = np.zeros(num_items + 2, np.int64)
    length_of[sources + 1] = lengths
    return _Rows(np.cumsum(length_of), items.astype(np.int32), values.astype(np.float32))
