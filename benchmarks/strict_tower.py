"""What a sequence tower learned by rounds adds to strict federation, and what it costs a device.

The tower that rounds begin with is an arm too: what it gives comes from the secure sums, and only the rest from rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.evaluation import Score
from benchmarks.task import Requests, Task
from federated.device.contribution import keep_items
from federated.device.retrieval import PrivateRetriever, SharedTables
from federated.device.sequence import SequenceWeights
from federated.device.submodel import num_rows
from recsys.config.federated import StrictSettings, StrictTowerSettings
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.progress import Progress

if TYPE_CHECKING:
    from federated.simulation.strict.federation import StrictModel
    from federated.simulation.strict.tower_rounds import LearnedTower

TOWERS: Final = {
    "strict_tower": "Tower, rounds",
    "strict_blend_start": "Blend + untrained tower",
    "strict_blend_tower": "Blend + tower, rounds",
}
"""Arm to its label."""

TOWER_PAIRS: Final = (
    ("strict_blend_tower", "strict_blend"),
    ("strict_blend_tower", "strict_blend_start"),
    ("strict_blend_start", "strict_blend"),
)
"""Arms to subtract from each other."""

_NUMBER_BYTES: Final = 4
"""Of a number of an update: under masks a whole number modulo 2 ** 32."""

_SUMS: Final = {
    "strict_tower": "strict_transitions",
    "strict_blend_start": "strict_blend",
    "strict_blend_tower": "strict_blend",
}
"""Arm to the one whose sums it needs."""


@dataclass(frozen=True, eq=False)
class Towers:
    """What rounds began with, what they made, and by which settings."""

    start: SequenceWeights
    learned: LearnedTower
    settings: StrictTowerSettings


def learn_on_top(
    model: StrictModel,
    histories: Sequence[Int32Array],
    folder: Path,
    settings: StrictSettings,
    tower: StrictTowerSettings,
    seed: int,
    progress: Progress,
) -> Towers:
    """Returns a tower learned by devices that took part in both sums.

    Args:
      model: Of the sums.
      histories: Of these devices, `[num]` int32 items from 0, oldest first.
      folder: Holds local examples meanwhile.
      settings: Of strict federation.
      tower: Of the tower and of rounds.
      seed: Of all draws.
      progress: A listener.

    Raises:
      FederationError: If the worker does not start or dies, or nobody can train.
      WorkspaceError: If the disk is full or refuses.
    """
    from federated.simulation.strict.federation import ITEMS
    from federated.simulation.strict.tower_rounds import learn_tower, start_weights

    kept, num_kept = model.tables.kept, len(model.tables.kept)
    counts = model.sums[ITEMS].total[kept]
    progress.stage("making the tower to begin with")
    start = start_weights(model.sums["transitions"].total.reshape(num_kept, num_kept), counts, tower, seed)
    own = [keep_items(history, kept) for history in histories]
    learned = learn_tower(
        own, start, counts, folder, tower, worker_start_s=settings.worker_start_s, seed=seed, progress=progress
    )
    return Towers(start, learned, tower)


def ask_devices(task: Task, one: Callable[[Int32Array], Float32Array]) -> Score:
    """Returns the scores of devices, each of which knows its own history and what it has downloaded."""

    def score(requests: Requests) -> Float32Array:
        return np.stack([one(task.log.history(user)) for user in requests.users.tolist()])

    return score


def tower_scores(task: Task, tables: SharedTables, towers: Towers, settings: StrictSettings) -> dict[str, Score]:
    """Returns the scores of each arm of `TOWERS`."""
    retriever = PrivateRetriever(tables, settings)
    start, end, weight = towers.start, towers.learned.weights, towers.settings.blend_weight
    return {
        "strict_tower": ask_devices(task, lambda history: retriever.ask(history, end)),
        "strict_blend_start": ask_devices(task, lambda history: retriever.blend_with(history, start, weight)),
        "strict_blend_tower": ask_devices(task, lambda history: retriever.blend_with(history, end, weight)),
    }


def add_tower(federation: Mapping[str, Any], towers: Towers, num_devices: int) -> dict[str, Any]:
    """Returns the account of strict federation with the tower's in it.

    Args:
      federation: Without the tower.
      towers: Of the run.
      num_devices: That could take part in rounds.

    Returns:
      Beside what was there `tower`: `rounds`, `uploads_per_device` (the mean over devices), `num_weights`, `rows` (of
      the table), `submodel_rows`, `upload_bytes` of a round (the masked vector), `submodel_bytes` (what would be sent
      if it were no secret which rows a device touches), `download_bytes` of a round, `first_loss`, `last_loss` and
      `seconds`; and in `costs` the arms of `TOWERS`.
    """
    start, learned = towers.start, towers.learned
    row_numbers = start.rows.shape[1] + 1
    touched = num_rows(towers.settings)
    taken = learned.num_uploads / num_devices
    size = start.size_bytes
    account = {
        "rounds": len(learned.losses),
        "uploads_per_device": round(taken, 3),
        "num_weights": size // _NUMBER_BYTES,
        "rows": len(start.rows),
        "submodel_rows": touched,
        "upload_bytes": size,
        "submodel_bytes": _NUMBER_BYTES * (touched * (row_numbers + 1) + start.dense_size),
        "download_bytes": size,
        "first_loss": learned.losses[0],
        "last_loss": learned.losses[-1],
        "seconds": round(learned.seconds, 2),
    }
    costs = {name: dict(cost) for name, cost in federation["costs"].items()}
    for arm, needed in _SUMS.items():
        sums, rounds = costs[needed], 0.0 if arm == "strict_blend_start" else taken
        # The tower that answers is downloaded once more; the one that rounds begin with is all there is of it.
        costs[arm] = {
            "upload_bytes": round(sums["upload_bytes"] + rounds * size),
            "download_bytes": round(sums["download_bytes"] + (rounds + 1.0) * size),
        }
    return {**federation, "costs": costs, "tower": account}
