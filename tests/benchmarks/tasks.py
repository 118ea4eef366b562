"""Logs and tasks that are small enough to be checked on paper."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benchmarks.protocols.assembly import Description, assemble
from benchmarks.settings import HOLD_OUT_LATEST, BaselineSettings
from benchmarks.task import Log, Requests, Task
from data.dataset import Dataset, empty_rooms, raw_event_schema
from data.split import leave_one_out
from recsys.contracts.schema import arrow_schema


def make_log(*histories: list[int], num_items: int = 5) -> Log:
    """Histories of users 0, 1, …; the k-th event of all is at millisecond k."""
    lengths = [len(history) for history in histories]
    items = np.array([item for history in histories for item in history], np.int32)
    return Log(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items, np.arange(len(items)), num_items)


def make_requests(users: list[int], targets: list[list[int]], candidates: list[list[int]] | None = None) -> Requests:
    return Requests(
        np.array(users, np.int64),
        np.concatenate([[0], np.cumsum([len(of_user) for of_user in targets])]).astype(np.int64),
        np.array([item for of_user in targets for item in of_user], np.int32),
        None if candidates is None else np.array(candidates, np.int32),
    )


def make_dataset(histories: list[list[int]], num_items: int) -> Dataset:
    """Clicks of users u0, u1, … on items i0, i1, …, a second apart."""
    rows = [
        {
            "event_id": f"{user}-{place}",
            "user_id": f"u{user}",
            "item_id": f"i{item}",
            "action": "click",
            "surface": "feed",
            "timestamp_ms": 1_000 * place,
        }
        for user, history in enumerate(histories)
        for place, item in enumerate(history)
    ]
    items = [
        {"item_id": f"i{item}", "surface": "feed", "title": f"Item {item}", "categories": [f"c{item % 3}"]}
        for item in range(num_items)
    ]
    users = [{"user_id": f"u{user}", "device_tier": "mid"} for user in range(len(histories))]
    return Dataset(
        name="tiny",
        events=pa.Table.from_pylist(rows, schema=raw_event_schema()),
        items=pa.Table.from_pylist(items, schema=arrow_schema("item")),
        rooms=empty_rooms(),
        users=pa.Table.from_pylist(users, schema=arrow_schema("user")),
    )


def make_task(histories: list[list[int]], num_items: int) -> Task:
    """Leave one out over the whole catalogue."""
    dataset = make_dataset(histories, num_items)
    description = Description("T", "tiny", BaselineSettings(), pipeline=HOLD_OUT_LATEST)
    return assemble(description, dataset, leave_one_out(dataset.events), "test")
