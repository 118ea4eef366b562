"""Makes a task out of a dataset and its division."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.settings import BaselineSettings, PipelineSettings
from benchmarks.task import Log, Requests, Task
from data.dataset import Dataset
from data.split import Split
from recsys.contracts.arrays import BoolArray, Int32Array, Int64Array
from recsys.contracts.events import POSITIVE_ACTIONS
from recsys.errors import DatasetError

HeldOut: TypeAlias = Literal["test", "validation"]
"""What is asked. Results are of the test; the validation part is there to choose settings on."""

DrawCandidates: TypeAlias = Callable[[Log, Requests], Int32Array]
"""`[num_requests, num_candidates]` int32, the target first, for requests with one target each."""

_LEARNED = {"test": ("train", "validation"), "validation": ("train",)}


@dataclass(frozen=True)
class Description:
    """What a protocol says of itself; see `Task`."""

    protocol: str
    title: str
    settings: BaselineSettings
    notes: tuple[str, ...] = ()
    pipeline: PipelineSettings = field(default_factory=dict)
    references: tuple[str, ...] = ("blend",)


def assemble(
    description: Description,
    dataset: Dataset,
    split: Split,
    held_out: HeldOut,
    draw_candidates: DrawCandidates | None = None,
    group: Callable[[Task], Mapping[str, BoolArray]] | None = None,
) -> Task:
    """Returns the task: the log is all that precedes the part asked for, and each user with an event there asks once.

    Args:
      description: Of the protocol.
      dataset: Its positive events count, whatever the action.
      split: Into train, validation and test.
      held_out: The part that is asked for.
      draw_candidates: Chooses what is ranked; None ranks the whole catalogue.
      group: Divides the requests for the report.

    Raises:
      DatasetError: If nothing is held out.
    """
    user_ids, item_ids = (_ids(table, name) for table, name in ((dataset.users, "user_id"), (dataset.items, "item_id")))
    rows = _ordered_rows(dataset.events, user_ids)
    users = _codes(dataset.events.column("user_id"), user_ids)[rows]
    items = _codes(dataset.events.column("item_id"), item_ids)[rows].astype(np.int32)
    times_ms = dataset.events.column("timestamp_ms").to_numpy()[rows]
    learned = np.logical_or.reduce([split.mask(part)[rows] for part in _LEARNED[held_out]])
    asked = split.mask(held_out)[rows]
    if not asked.any():
        raise DatasetError(f"Expected events held out by {split.name}, got none in {dataset.events.num_rows} events.")
    log = Log(_offsets(users[learned], len(user_ids)), items[learned], times_ms[learned], len(item_ids))
    requests = _ask(users[asked], items[asked])
    if draw_candidates is not None:
        requests = Requests(requests.users, requests.offsets, requests.targets, draw_candidates(log, requests))
    task = Task(
        protocol=description.protocol,
        title=description.title,
        dataset=dataset,
        split=split,
        user_ids=user_ids,
        item_ids=item_ids,
        log=log,
        requests=requests,
        settings=description.settings,
        notes=(*dataset.notes, *description.notes),
        pipeline=description.pipeline,
        references=description.references,
    )
    return task if group is None else task.grouped(group(task))


def _ids(table: pa.Table, name: str) -> tuple[str, ...]:
    return tuple(table.column(name).to_pylist())


def _codes(column: pa.ChunkedArray, ids: tuple[str, ...]) -> Int64Array:
    return pc.fill_null(pc.index_in(column, value_set=pa.array(ids)), -1).to_numpy().astype(np.int64)


def _ordered_rows(events: pa.Table, user_ids: tuple[str, ...]) -> Int64Array:
    """Row numbers of the positives, by user, time and event id."""
    positive = pc.is_in(events.column("action"), value_set=pa.array([action.value for action in POSITIVE_ACTIONS]))
    keys = pa.table(
        {
            "user": pa.array(_codes(events.column("user_id"), user_ids)),
            "time_ms": events.column("timestamp_ms"),
            "event_id": events.column("event_id"),
        }
    )
    order = pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]).to_numpy().astype(np.int64)
    return order[positive.to_numpy().astype(np.bool_)[order]]


def _offsets(users: Int64Array, num_users: int) -> Int64Array:
    return np.concatenate([[0], np.cumsum(np.bincount(users, minlength=num_users))]).astype(np.int64)


def _ask(users: Int64Array, items: Int32Array) -> Requests:
    asking, counts = np.unique(users, return_counts=True)
    return Requests(asking, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), items)
