"""P4: MovieLens 100K, each user's last item among 99 sampled negatives, and out of the whole catalogue.

Many users have several items at their last moment; the first of them in the file is the test, as in PFedRec (Zhang,
Long, Zhou, Yan, Zhang, Zhang and Yang, "Dual Personalization on Federated Recommendation", IJCAI 2023) and in those who
compare with it. The others stay in training. The negatives are drawn once, uniformly out of what the user never rated,
by a seed that is part of the protocol. Sampled negatives flatter every model (Krichene and Rendle, "On Sampled Metrics
for Item Recommendation", KDD 2020), hence the full ranking beside them, as a table of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.protocols.assembly import Description, HeldOut, assemble
from benchmarks.settings import HOLD_OUT_LATEST, BaselineSettings
from benchmarks.task import Log, Requests, Task
from data.registry import read_dataset
from data.split import hold_out
from recsys.config.data import DataSettings
from recsys.contracts.arrays import BoolArray, Int32Array

NUM_NEGATIVES = 99
_SEED = 4
_SETTINGS = BaselineSettings()
_FULL_SETTINGS = BaselineSettings(
    recent_share=0.2,
    knn_shrinkage=0.0,
    recency_ease_l2=200.0,
    recency_floor=0.1,
    transition_half_life=1.0,
    ials_factors=128,
    ials_l2=3.0,
    ials_alpha=4.0,
)
"""Where they differ from the defaults, chosen on the validation part under full ranking."""


def read_sampled_negatives(source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task with negatives.

    Args:
      source: Where MovieLens 100K lies; None searches.
      held_out: The part that is asked for.

    Raises:
      DatasetError: If the data is missing or broken.
    """
    full = read_full_ranking(source)
    seen = [set(full.log.history(user).tolist()) for user in range(full.log.num_users)]
    for row, user in enumerate(full.requests.users.tolist()):
        seen[user].add(int(full.requests.targets[row]))

    def draw(log: Log, requests: Requests) -> Int32Array:
        rng = np.random.default_rng(_SEED)
        rows = []
        for user, target in zip(requests.users.tolist(), requests.targets.tolist(), strict=True):
            unseen = np.setdiff1d(np.arange(log.num_items), list(seen[user]))
            rows.append([target, *rng.choice(unseen, NUM_NEGATIVES, replace=False).tolist()])
        return np.array(rows, np.int32)

    description = Description(
        "P4",
        f"MovieLens 100K, leave one out, {NUM_NEGATIVES} sampled negatives (seed {_SEED})",
        _SETTINGS,
        pipeline=HOLD_OUT_LATEST,
    )
    return assemble(description, full.dataset, full.split, held_out, draw)


def read_full_ranking(source: Path | None, held_out: HeldOut = "test") -> Task:
    """Returns the task over the whole catalogue.

    Args:
      source: Where MovieLens 100K lies; None searches.
      held_out: The part that is asked for.

    Raises:
      DatasetError: If the data is missing or broken.
    """
    dataset = read_dataset("movielens-100k", source, DataSettings(), 0)
    description = Description(
        "P4-full", "MovieLens 100K, leave one out, full ranking", _SETTINGS, pipeline=HOLD_OUT_LATEST
    )
    split = hold_out(dataset.events, _first_of_last(dataset.events), "the first row of each user's last moment")
    return assemble(description, dataset, split, held_out)


def _first_of_last(events: pa.Table) -> BoolArray:
    """`[num_events]` bool: of each user's rows at the latest time the one that comes first."""
    keys = events.select(["user_id", "timestamp_ms"]).append_column("row", pa.array(np.arange(events.num_rows)))
    order = pc.sort_indices(keys, [("user_id", "ascending"), ("timestamp_ms", "descending"), ("row", "ascending")])
    users = keys.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy()[order.to_numpy()]
    chosen = np.zeros(events.num_rows, np.bool_)
    chosen[order.to_numpy()[np.flatnonzero(np.diff(users, prepend=-1))]] = True
    return chosen
