"""Strict federation from histories to tables: each device counts, the server has sums, devices get tables.

Two rounds: the first sums who chose which item; the second, over the items that enough devices chose, which follow
which and which go together. Only devices whose first upload came take part in the second, with the same history: so the
first sum bounds what the second can come to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from federated.device.contribution import (
    Contribution,
    count_items,
    count_together,
    count_transitions,
    keep_items,
)
from federated.device.retrieval import SharedTables
from federated.simulation.strict.secure_sum import SecureSum, hold_summer
from federated.simulation.strict.segments import Segment, cut_items, cut_pairs, cut_transitions
from federated.simulation.strict.tables import build_tables, choose_items
from recsys.config.federated import StrictSettings
from recsys.contracts.arrays import Int32Array
from recsys.progress import Progress

ITEMS: Final = "items"
NUM_ROUNDS: Final = 2

_PAIRED: Final[dict[str, Callable[[Int32Array, int, StrictSettings], Contribution]]] = {
    "transitions": count_transitions,
    "pairs": count_together,
}
"""What is summed in the second round, in one upload."""


@dataclass(frozen=True, eq=False)
class StrictModel:
    """What the server has in the end.

    Attributes:
      sums: By name: `items`, `transitions` and `pairs`.
      tables: That devices download.
    """

    sums: dict[str, SecureSum]
    tables: SharedTables


def federate(
    cohorts: tuple[Sequence[Int32Array], Sequence[Int32Array]],
    num_items: int,
    folder: Path,
    settings: StrictSettings,
    progress: Progress,
) -> StrictModel:
    """Returns what the server learns from devices.

    Args:
      cohorts: For each of the two rounds the histories of devices that do not drop out of it, `[num]` int32 items from
        0, oldest first; those of the second are among those of the first.
      num_items: In the catalogue.
      folder: Holds what devices have to add, and the worker's output, meanwhile.
      settings: Of counts, sums and scores.
      progress: Told of the stages.

    Raises:
      FederationError: If the worker does not start or dies, nobody takes part, or no items are common enough.
      WorkspaceError: If the disk is full or refuses.
    """
    everything = np.arange(num_items, dtype=np.int32)
    with hold_summer(folder, settings.users_per_pack, settings.worker_start_s) as summer:

        def add_up(
            name: str, histories: Sequence[Int32Array], kept: Int32Array, segments: tuple[Segment, ...]
        ) -> SecureSum:
            progress.stage(f"summing {name} over {len(histories):,} devices")
            most = sum(_most_cells(name, len(history), settings) for history in histories)
            counted = (contribute(name, history, kept, settings) for history in histories)
            return summer.sum(name, counted, segments, most)

        items = add_up(ITEMS, cohorts[0], everything, cut_items(len(cohorts[0]), num_items))
        kept = choose_items(items.total, settings.min_devices)
        counts = items.total[kept]
        transitions = add_up("transitions", cohorts[1], kept, cut_transitions(counts, settings.levels))
        pairs = add_up("pairs", cohorts[1], kept, cut_pairs(counts))
    progress.stage("making tables")
    tables = build_tables(items.total, kept, transitions.total, pairs.total, settings)
    return StrictModel({ITEMS: items, "transitions": transitions, "pairs": pairs}, tables)


def contribute(name: str, history: Int32Array, kept: Int32Array, settings: StrictSettings) -> Contribution:
    """Returns what a device adds to a sum.

    Args:
      name: `items`, `transitions` or `pairs`.
      history: `[num]` int32 items from 0, oldest first.
      kept: `[num_kept]` int32, the items that the sum is about: for `items` all of them.
      settings: Of counts.
    """
    count = count_items if name == ITEMS else _PAIRED[name]
    return count(keep_items(history, kept), len(kept), settings)


def _most_cells(name: str, length: int, settings: StrictSettings) -> int:
    """At most so many cells of a contribution are not 0."""
    length = min(length, settings.max_history)
    return {
        ITEMS: length,
        "transitions": length * settings.window,
        "pairs": length * (length + 1) // 2,
    }[name]
