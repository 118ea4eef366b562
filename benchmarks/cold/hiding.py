"""Hides items: their events leave the training log, they themselves stay in the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.contracts.arrays import BoolArray
from recsys.features.catalogue import Catalogue

_SEED_OF_THE_DRAW: Final = 0xC01D


def draw_hidden(items: pa.Table, share: float, seed: int) -> list[str]:
    """Returns the ids of a share of the items of each surface, sorted.

    Args:
      items: Contract "item".
      share: Of each surface, rounded down.
      seed: Of the draw.
    """
    rng = np.random.default_rng((_SEED_OF_THE_DRAW, seed))
    hidden: list[str] = []
    for surface in sorted(pc.unique(items.column("surface")).to_pylist()):
        ids = sorted(items.filter(pc.equal(items.column("surface"), surface)).column("item_id").to_pylist())
        hidden += [ids[row] for row in rng.choice(len(ids), int(len(ids) * share), replace=False)]
    return sorted(hidden)


def write_without(events: Path, hidden: list[str], folder: Path) -> int:
    """Copies a log without the events of some items; returns how many events that leaves out.

    Args:
      events: Folder of Parquet files.
      hidden: Item ids.
      folder: Where the copy goes; it exists.
    """
    num_hidden = 0
    for path in sorted(events.glob("*.parquet")):
        table = pq.read_table(path)
        is_hidden = pc.is_in(table.column("item_id"), value_set=pa.array(hidden, pa.string()))
        num_hidden += pc.sum(is_hidden).as_py() or 0
        pq.write_table(table.filter(pc.invert(is_hidden)), folder / path.name)
    return num_hidden


def mark_hidden(catalogue: Catalogue, hidden: list[str]) -> BoolArray:
    """Returns `[num_items + 1]` bool: which item is hidden."""
    is_hidden = np.zeros(catalogue.num_items + 1, np.bool_)
    is_hidden[catalogue.index_of(hidden)] = True
    is_hidden[0] = False
    return is_hidden
