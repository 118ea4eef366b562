"""Strict federation from histories to tables: each device counts, the server has sums, devices get tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from federated.device.contribution import Contribution, count_items, count_together, count_transitions
from federated.device.retrieval import SharedTables
from federated.simulation.strict.secure_sum import SecureSum, hold_summer
from federated.simulation.strict.tables import build_tables
from recsys.config.federated import StrictSettings
from recsys.contracts.arrays import Int32Array
from recsys.progress import Progress

Count = Callable[[Int32Array, int, StrictSettings], Contribution]

PARTS: Final[dict[str, Count]] = {
    "items": count_items,
    "transitions": count_transitions,
    "pairs": count_together,
}
"""What is summed, by name. A device sends all of it in one upload, in one round."""


@dataclass(frozen=True, eq=False)
class StrictModel:
    """What the server has in the end.

    Attributes:
      sums: By name of the part.
      tables: That devices download.
    """

    sums: dict[str, SecureSum]
    tables: SharedTables


def federate(
    histories: Sequence[Int32Array], num_items: int, folder: Path, settings: StrictSettings, progress: Progress
) -> StrictModel:
    """Returns what the server learns from devices.

    Args:
      histories: `[num]` int32 items from 0 of each device that does not drop out, oldest first.
      num_items: In the catalogue.
      folder: Holds what devices have to add, and the worker's output, meanwhile.
      settings: Of counts, sums and scores.
      progress: Told of the stages.

    Raises:
      FederationError: If the worker does not start or dies, or nobody takes part.
      WorkspaceError: If the disk is full or refuses.
    """
    sums = {}
    with hold_summer(folder, settings.users_per_pack, settings.worker_start_s) as summer:
        for name, count in PARTS.items():
            progress.stage(f"summing {name} over {len(histories):,} devices")
            contribute = partial(count, num_items=num_items, settings=settings)
            most = sum(_most_cells(name, len(history), settings) for history in histories)
            sums[name] = summer.sum(name, (contribute(history) for history in histories), most)
    progress.stage("making tables")
    totals = [sums[name].total for name in PARTS]
    return StrictModel(sums, build_tables(*totals, settings))


def _most_cells(name: str, length: int, settings: StrictSettings) -> int:
    """At most so many cells of a contribution are not 0."""
    length = min(length, settings.max_history)
    return {
        "items": length,
        "transitions": length * settings.window,
        "pairs": length * (length - 1) // 2,
    }[name]
