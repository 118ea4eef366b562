"""P6: KuaiRand, like against dislike in the last fifth of each person's judgements.

The rows of the subset all bear one of the two. Whether anybody liked the video before tells nearly all, so gains count
only beside that, and videos that nobody liked in the known part are reported apart.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.judgements import Judgements
from data.registry import read_dataset
from data.split import hold_out
from recsys.config.data import DataSettings
from recsys.contracts.arrays import BoolArray, Int64Array
from recsys.contracts.events import Action
from recsys.errors import DatasetError

TEST_SHARE = 0.2
PRIVATE_SHARE = 0.25
"""Of what is known of a person, the latest: with the test, 60, 20 and 20 % of all judgements."""
_EPSILON = 1e-9


def read_like_or_dislike(source: Path | None) -> Judgements:
    """Returns the task.

    Args:
      source: Where KuaiRand lies; None searches.

    Raises:
      DatasetError: If the data is missing or broken, or nobody likes or dislikes anything in it.
    """
    dataset = read_dataset("kuairand", source, DataSettings(), 0)
    judged = pc.is_in(dataset.events.column("action"), value_set=pa.array([Action.LIKE.value, Action.DISLIKE.value]))
    rows = dataset.events.filter(judged)
    if rows.num_rows == 0:
        raise DatasetError(f"Expected likes or dislikes in {dataset.name}, got neither.")
    user_ids = tuple(dataset.users.column("user_id").to_pylist())
    item_ids = tuple(dataset.items.column("item_id").to_pylist())
    rows = rows.append_column("user", pc.index_in(rows.column("user_id"), value_set=pa.array(user_ids)))
    rows = rows.sort_by([(name, "ascending") for name in ("user", "timestamp_ms", "event_id")])
    users = rows.column("user").to_numpy().astype(np.int64)
    tested = _last_share(users, TEST_SHARE)
    split = hold_out(
        dataset.events,
        _events_of(dataset.events, rows.filter(pa.array(tested))),
        f"the last {TEST_SHARE:g} of each person's likes and dislikes by time",
    )
    return Judgements(
        protocol="P6",
        title="KuaiRand, like against dislike, the last fifth of each person's judgements",
        dataset=dataset,
        split=split,
        user_ids=user_ids,
        item_ids=item_ids,
        users=users,
        items=pc.index_in(rows.column("item_id"), value_set=pa.array(item_ids)).to_numpy().astype(np.int32),
        times_ms=rows.column("timestamp_ms").to_numpy(),
        liked=pc.equal(rows.column("action"), Action.LIKE.value).to_numpy().astype(np.bool_),
        tested=tested,
    )


def conceal(task: Judgements) -> Judgements:
    """Returns the task as a cloud sees it from which each person's latest known judgements are kept.

    To it, such rows are as unknown as those that are tested.

    Args:
      task: P6, or one like it.
    """
    known = np.flatnonzero(~task.tested)
    unknown = task.tested.copy()
    unknown[known[_last_share(task.users[known], PRIVATE_SHARE)]] = True
    users, items = pa.array(task.user_ids).take(task.users[unknown]), pa.array(task.item_ids).take(task.items[unknown])
    rows = pa.table({"user_id": users, "item_id": items, "timestamp_ms": task.times_ms[unknown]})
    split = hold_out(
        task.dataset.events,
        _events_of(task.dataset.events, rows),
        f"{task.split.name}, and the last {PRIVATE_SHARE:g} of the others, which stay private",
    )
    return replace(task, split=split, tested=unknown)


def _last_share(users: Int64Array, share: float) -> BoolArray:
    """`[num_rows]` bool: the last rows of each user, who stand together; a share, rounded up."""
    first, counts = np.unique(users, return_index=True, return_counts=True)[1:]
    to_end = np.repeat(first + counts, counts) - np.arange(len(users))
    return to_end <= np.ceil(np.repeat(counts, counts) * share - _EPSILON)


def _events_of(events: pa.Table, rows: pa.Table) -> BoolArray:
    """`[num_events]` bool: every signal of some rows, the impression too; a row is a person, a video and a moment."""
    keys = [_key(table) for table in (events, rows)]
    return pc.is_in(keys[0], value_set=keys[1].combine_chunks()).to_numpy().astype(np.bool_)


def _key(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(
        table.column("user_id"), table.column("item_id"), table.column("timestamp_ms").cast(pa.string()), " "
    )
