"""P3: MovieLens 100K divided at two moments, the same for everybody.

The first 80 % of all ratings are training, the next 10 % validation, the last 10 % test. Everything before the test is
learned from; whatever a user chose in the test is right, and is asked for once, at its beginning. A user who rated
nothing in the training part is not warm: those who came in the validation part and the new ones are reported apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.protocols.assembly import Description, HeldOut, assemble
from benchmarks.settings import BaselineSettings, PipelineSettings
from benchmarks.task import Task
from data.registry import read_dataset
from data.split import global_time
from recsys.config.data import DataSettings
from recsys.contracts.arrays import BoolArray

_SETTINGS = BaselineSettings(
    knn_neighbours=100,
    knn_shrinkage=100.0,
    recency_floor=0.1,
    recency_half_life=5.0,
    ials_factors=32,
    ials_l2=3.0,
)
"""Where they differ from the defaults, chosen on the warm users of the validation part."""

_TRAINED_SHARE = 8 / 9
_NUM_RECENT = 50


def read_global_time(source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task.

    Args:
      source: Where MovieLens 100K lies; None searches.
      held_out: The part that is asked for.

    Raises:
      DatasetError: If the data is missing or broken.
    """
    dataset = read_dataset("movielens-100k", source, DataSettings(), 0)
    split = global_time(dataset.events)
    trained = set(dataset.events.filter(split.mask("train")).column("user_id").to_pylist())

    def group(task: Task) -> Mapping[str, BoolArray]:
        warm = np.array([task.user_ids[user] in trained for user in task.requests.users])
        known = np.diff(task.log.offsets)[task.requests.users] > 0
        groups = {"warm": warm, "since validation": known & ~warm, "cold": ~known}
        return {name: rows for name, rows in groups.items() if rows.any()}

    description = Description(
        "P3",
        "MovieLens 100K, global time split 80/10/10, full ranking",
        _SETTINGS,
        ("Baselines show people without a history what is popular.",),
        references=("blend", "recent_popularity"),
    )
    task = assemble(description, dataset, split, held_out, group=group)
    return replace(task, pipeline=_pipeline(task))


def _pipeline(task: Task) -> PipelineSettings:
    """The pipelines hold out the end of the log, too; the ranker learns to foresee a period of which it sees nothing.

    The number of recent candidates was chosen on the warm users of the validation part.
    """
    times_ms = np.sort(task.log.times_ms)
    validation_from_ms = int(times_ms[int(len(times_ms) * _TRAINED_SHARE)])
    return {
        "prepare": {"validation_from_ms": validation_from_ms},
        "ranker": {"asks": "period", "num_recent": _NUM_RECENT},
    }
