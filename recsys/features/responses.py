"""How people responded to each item: counts per action, and the rates that the ranker reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import pyarrow as pa

from recsys.contracts.arrays import Float32Array, Float64Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS, Action
from recsys.errors import ContractError
from recsys.features.catalogue import Catalogue

RESPONSES_SCHEMA: Final = pa.schema(
    [
        pa.field("item_index", pa.int32(), nullable=False),
        pa.field("action", pa.int8(), nullable=False),
        pa.field("num_trained", pa.int64(), nullable=False),
        pa.field("num_known", pa.int64(), nullable=False),
    ]
)
"""`responses.parquet`: rows by item and action (codes of `ACTION_CODES`), those that occurred; `num_trained` counts the
training period, `num_known` the whole log."""


class Period(StrEnum):
    """Whose counts: what the ranker learns from must not have been counted, what it serves with must be fresh."""

    TRAINED = "num_trained"
    KNOWN = "num_known"


_RATED: Final = ("click", "long_view", "like", "follow", "gift", "dislike")
_COUNTED: Final = ("impression", "long_view", "like", "follow", "gift", "dislike")

RESPONSE_FEATURES: Final = (
    *(f"{name}_share" for name in _RATED),
    *(f"log_{name}s" for name in _COUNTED),
    *(f"category_{name}_share" for name in _RATED),
)
"""Names of the last axis of `Responses.features`. A share is that of the times that the item was shown, drawn to the
share of all items; of a category, that of its items, meaned over the categories of the item. A log that never tells
what was shown says nothing by them: they are the same for all items then."""

_PRIOR_SHOWN: Final = 5.0
"""Times shown, answered like all items together, that every item and category starts with."""


@dataclass(frozen=True)
class Responses:
    """What the ranker reads of the responses to each item; never changed.

    Attributes:
      features: `[num_items + 1, len(RESPONSE_FEATURES)]` float32; row 0 is that of an item that nobody knows.
    """

    features: Float32Array

    @classmethod
    def from_table(cls, table: pa.Table, catalogue: Catalogue, period: Period) -> Responses:
        """Reads a table of `RESPONSES_SCHEMA`.

        Args:
          table: Any number of rows, none included.
          catalogue: The items that the indexes speak of, and their categories.
          period: Which counts to read.

        Raises:
          ContractError: If the columns differ, or an index or an action is none.
        """
        if table.schema.names != RESPONSES_SCHEMA.names:
            raise ContractError(f"Expected responses with columns {RESPONSES_SCHEMA.names}, got {table.schema.names}.")
        items, actions = (table.column(name).to_numpy() for name in ("item_index", "action"))
        if ((items < 1) | (items > catalogue.num_items) | (actions < 0) | (actions >= len(ACTION_CODES))).any():
            raise ContractError(
                f"Expected responses to items from 1 to {catalogue.num_items} with actions below {len(ACTION_CODES)}, "
                "got others. Publish them with the vocabulary that they were counted with."
            )
        counts = np.zeros((len(ACTION_CODES), catalogue.num_items + 1), np.float64)
        np.add.at(counts, (actions, items), table.column(period.value).to_numpy())
        return cls(_describe(dict(zip(ACTION_CODES, counts, strict=True)), catalogue))

    @classmethod
    def unknown(cls, catalogue: Catalogue) -> Responses:
        """Returns those of a bundle without counts."""
        return cls.from_table(RESPONSES_SCHEMA.empty_table(), catalogue, Period.KNOWN)


def _describe(counts: Mapping[str, Float64Array], catalogue: Catalogue) -> Float32Array:
    # The deepest count stands for interest of any kind: who likes a video has mostly clicked it, too.
    interest = np.max([counts[action.value] for action in POSITIVE_ACTIONS], axis=0)
    answers = {**counts, "click": interest}
    shown = counts[Action.IMPRESSION]
    if not shown.any():
        shown = interest + counts[Action.DISLIKE]
    shown = np.max([shown, interest, counts[Action.DISLIKE]], axis=0)
    members = _sum_categories(shown, catalogue)
    shares, of_categories = [], []
    for name in _RATED:
        overall = answers[name].sum() / max(shown.sum(), 1.0)
        shares.append((answers[name] + _PRIOR_SHOWN * overall) / (shown + _PRIOR_SHOWN))
        share = (_sum_categories(answers[name], catalogue) + _PRIOR_SHOWN * overall) / (members + _PRIOR_SHOWN)
        of_categories.append(_mean_categories(share, overall, catalogue))
    logarithms = [np.log1p(counts[name]) for name in _COUNTED]
    return np.stack([*shares, *logarithms, *of_categories], axis=1).astype(np.float32)


def _sum_categories(values: Float64Array, catalogue: Catalogue) -> Float64Array:
    """Sum of some values over the items of each category, `[num_categories + 1]`; 0 is padding."""
    columns = catalogue.categories.T
    return np.sum([np.bincount(column, values, catalogue.num_categories + 1) for column in columns], axis=0)


def _mean_categories(values: Float64Array, default: float, catalogue: Catalogue) -> Float64Array:
    """Mean of a value per category over those of each item, `[num_items + 1]`; the default where it has none."""
    is_category = catalogue.categories > 0
    total = np.where(is_category, values[catalogue.categories], 0.0).sum(axis=1)
    number = is_category.sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), default)
