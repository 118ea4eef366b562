"""A task: what models may learn from, and what they are asked. Protocols make tasks; models see nothing else.

Users and items are numbered from 0, in the order of their catalogue; items of equal score stand in that order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.settings import BaselineSettings, PipelineSettings
from data.dataset import Dataset
from data.split import Split
from recsys.contracts.arrays import BoolArray, Int32Array, Int64Array


@dataclass(frozen=True, eq=False)
class Log:
    """What each user chose, oldest first, one user after the other.

    Attributes:
      offsets: `[num_users + 1]` int64; user u owns the rows from `offsets[u]` up to `offsets[u + 1]`.
      items: `[num_events]` int32.
      times_ms: `[num_events]` int64.
      num_items: Items in the catalogue, seen or not.
    """

    offsets: Int64Array
    items: Int32Array
    times_ms: Int64Array
    num_items: int

    @property
    def num_users(self) -> int:
        """Users, those without a history among them."""
        return len(self.offsets) - 1

    @property
    def users(self) -> Int64Array:
        """`[num_events]` int64, whose row it is."""
        return np.repeat(np.arange(self.num_users), np.diff(self.offsets))

    @property
    def rows_to_end(self) -> Int64Array:
        """`[num_events]` int64, how many rows of the same user follow."""
        return self.offsets[self.users + 1] - 1 - np.arange(len(self.items))

    def history(self, user: int) -> Int32Array:
        """Returns the items of a user, `[num]` int32, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]


@dataclass(frozen=True, eq=False)
class Requests:
    """Lists that are asked for, and what would have been right.

    Attributes:
      users: `[num_requests]` int64, distinct.
      offsets: `[num_requests + 1]` int64; request r is right about the targets from `offsets[r]` to `offsets[r + 1]`.
      targets: `[num_targets]` int32 items.
      candidates: `[num_requests, num_candidates]` int32, the only items to rank, the target first; None means all
        that the user has not chosen yet.
    """

    users: Int64Array
    offsets: Int64Array
    targets: Int32Array
    candidates: Int32Array | None = None

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.users)

    def slice(self, start: int, stop: int) -> Requests:
        """Returns the requests from `start` up to `stop`."""
        offsets = self.offsets[start : min(stop, len(self)) + 1]
        return Requests(
            users=self.users[start:stop],
            offsets=offsets - offsets[0],
            targets=self.targets[offsets[0] : offsets[-1]],
            candidates=None if self.candidates is None else self.candidates[start:stop],
        )


@dataclass(frozen=True, eq=False)
class Task:
    """One protocol on its data.

    Attributes:
      protocol: Its name, such as "P2".
      title: What it is, in a line.
      dataset: The data; models read it only through `log`, or through `split`.
      split: Its parts are train, validation and test; the first two are `log`.
      user_ids: `num_users` ids.
      item_ids: `num_items` ids.
      log: What may be learned from.
      requests: What is asked.
      settings: Of the baselines, chosen on the validation part.
      notes: What a reader of the results should know.
      pipeline: What the protocol means for the settings of the pipelines.
      references: Arms that others are held against: all against the first, Tandem's own against the rest.
      groups: Name to `[num_requests]` bool: requests that are reported apart; empty where all are one.
    """

    protocol: str
    title: str
    dataset: Dataset
    split: Split
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    log: Log
    requests: Requests
    settings: BaselineSettings
    notes: tuple[str, ...] = ()
    pipeline: PipelineSettings = field(default_factory=dict)
    references: tuple[str, ...] = ("blend",)
    groups: Mapping[str, BoolArray] = field(default_factory=dict)

    def grouped(self, groups: Mapping[str, BoolArray]) -> Task:
        """Returns the task with groups."""
        return replace(self, groups=groups)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; equal where users are asked for the same targets out of the same candidates."""
        digest = hashlib.sha256(self.split.fingerprint.encode())
        for array in (self.requests.users, self.requests.offsets, self.requests.targets, self.requests.candidates):
            digest.update(b"" if array is None else np.ascontiguousarray(array, np.int64).tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Returns what a reader of results must know of the task, JSON-ready."""
        candidates = self.requests.candidates
        return {
            "protocol": self.protocol,
            "title": self.title,
            "dataset": self.dataset.name,
            "split": self.split.name,
            "split_fingerprint": self.split.fingerprint,
            "task_fingerprint": self.fingerprint,
            "num_users": self.log.num_users,
            "num_items": self.log.num_items,
            "num_events": len(self.log.items),
            "num_requests": len(self.requests),
            "num_candidates": None if candidates is None else candidates.shape[1],
            "notes": list(self.notes),
        }
