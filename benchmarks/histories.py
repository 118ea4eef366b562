"""What a cloud knows of people under P6, and what its ranker says of a like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from benchmarks.judgements import Judgements
from recsys.cascade.cloud import CloudModel
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.contracts.events import POSITIVE_ACTIONS

_LIKE_TASK: Final = "like"


def known_histories(task: Judgements, cloud: CloudModel) -> Mapping[str, Int32Array]:
    """Returns each person's positive items outside the test, `[num]` int32, oldest first; one that follows itself once.

    Args:
      task: Whose split says what is known.
      cloud: Numbers the items.
    """
    positive = np.isin(task.dataset.events.column("action").to_numpy(), [action.value for action in POSITIVE_ACTIONS])
    kept = task.dataset.events.filter(positive & ~task.split.mask("test"))
    kept = kept.sort_by([(name, "ascending") for name in ("user_id", "timestamp_ms", "event_id")])
    users, items = kept.column("user_id").to_numpy(), cloud.catalogue.index_of(kept.column("item_id").to_pylist())
    new = np.ones(len(items), np.bool_)
    new[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    users, items = users[new], items[new]
    first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.zeros(0, np.int64)
    return dict(zip(users[first].tolist(), np.split(items, first[1:]), strict=True)) if len(users) else {}


def score_likes(judged: Mapping[str, Float32Array]) -> Float32Array:
    """Returns the chance of a like of `CloudModel.judge`, where the ranker was trained for it, and else its order."""
    return judged.get(_LIKE_TASK, judged["score"])
