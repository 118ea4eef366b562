"""Temporal splits: which event belongs to the cloud, to the device, to the test.

Every split gives each row exactly one part and a fingerprint that does not depend on the order of the rows, so that
two reports can be seen to speak of the same division.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.config.data import SplitSettings
from recsys.contracts.arrays import BoolArray, Int8Array, Int32Array, Int64Array
from recsys.contracts.events import POSITIVE_ACTIONS
from recsys.errors import ConfigError
from recsys.storage.workspace import PARTS

TEST_PARTS = ("train", "validation", "test")
"""Parts of the splits that measure models without a device."""

_ORDER = ("timestamp_ms", "event_id", "action", "item_id")
"""How a person's events are ordered. The last two only break ties between rows that claim the same id, so that the
order in which rows happened to come never shows."""

_EPSILON = 1e-9
"""0.7 + 0.2 is a little less than 0.9: without it, 9 of 10 events would be counted as 8."""


@dataclass(frozen=True, eq=False)
class Split:
    """A division of a log.

    Attributes:
      name: Protocol and settings, for people.
      part_names: What the codes mean.
      codes: `[num_events]` int8, aligned with the rows of the log.
      fingerprint: 16 hexadecimal digits; equal for equal divisions, in whatever order the rows came.
    """

    name: str
    part_names: tuple[str, ...]
    codes: Int8Array
    fingerprint: str

    def mask(self, part: str) -> BoolArray:
        """Returns `[num_events]` bool: the rows of a part."""
        return self.codes == self.part_names.index(part)

    @property
    def parts(self) -> pa.Array:
        """The part of each row, by name."""
        return pa.array(self.part_names, pa.string()).take(pa.array(self.codes))

    def consent(self) -> Split:
        """Returns a division by `TEST_PARTS` as one of a workspace: all but the test is consented, the test held out.

        Raises:
          ConfigError: If this is a division by other parts.
        """
        if self.part_names != TEST_PARTS:
            raise ConfigError(f"Expected a division into {', '.join(TEST_PARTS)}, got {', '.join(self.part_names)}.")
        codes = np.where(self.mask("test"), PARTS.index("heldout"), PARTS.index("consented")).astype(np.int8)
        return Split(self.name, PARTS, codes, self.fingerprint)


def split_edge_cloud(
    events: pa.Table, settings: SplitSettings, lawful: BoolArray | None = None, earlier: Int8Array | None = None
) -> Split:
    """Divides each history into consented log, private log and test (protocol E).

    Positives count, in the order of time (ties by `event_id`); another event goes to the part of its time. People
    with fewer than `min_positives` are consented altogether. Rows that repeat an `event_id` go where its earliest goes.

    Args:
      events: Raw events.
      settings: The shares.
      lawful: `[num_events]` bool; rows that are not are left to the consented log, where `prepare` sets them aside.
      earlier: `[num_events]` int8, codes in a division of the log as it was before, -1 for rows that are new: what the
        cloud or the device knew it goes on knowing.

    Raises:
      ConfigError: If the shares leave nothing to test on.
    """
    consented_end = settings.consented_fraction
    private_end = consented_end + settings.private_fraction
    if private_end > 1.0 - _EPSILON:
        raise ConfigError(
            "Expected `consented_fraction` + `private_fraction` to be less than 1, so that something is left to test "
            f"on, got {settings.consented_fraction} + {settings.private_fraction}. Lower one of them."
        )
    history = _History.of(events, lawful)
    counts = history.positives_per_user
    divided = counts >= settings.min_positives
    ends = np.stack([np.floor(counts * share + _EPSILON).astype(np.int64) for share in (consented_end, private_end)])
    ends = np.where(divided, ends, counts)
    if earlier is not None:
        ends = np.maximum(ends, history.ends_of(earlier, len(ends)))
    codes = history.cut_by_rank(ends)
    codes[~divided[history.user]] = 0
    if earlier is not None:
        before = earlier[history.rows]
        codes = np.where(before >= 0, np.minimum(codes, before), codes).astype(np.int8)
    name = f"E {settings.consented_fraction:g}/{settings.private_fraction:g}/{1 - private_end:g} of positives by time"
    return _split(f"{name}, from {settings.min_positives} positives", PARTS, history, codes, events)


def leave_one_out(events: pa.Table) -> Split:
    """Holds out each person's last positive for test and the one before for validation (protocols P1, P2, P4).

    People with fewer than three positives are left to training; other events go to the part of their time.
    """
    history = _History.of(events, None)
    counts = history.positives_per_user
    divided = counts >= 3
    ends = np.where(divided, np.stack([counts - 2, counts - 1]), counts)
    codes = history.cut_by_rank(ends)
    codes[~divided[history.user]] = 0
    return _split("leave one out by time", TEST_PARTS, history, codes, events)


def hold_out(events: pa.Table, chosen: BoolArray, name: str) -> Split:
    """Holds out given rows for test and, of each person who has any, the last other positive for validation (P1).

    What followed a test row stays in training: such a test is given from outside, and need not be the last event.

    Args:
      events: Raw events, each id once.
      chosen: `[num_events]` bool, the test.
      name: Of the division, for people.
    """
    rest = np.flatnonzero(~chosen)
    history = _History.of(events.take(pa.array(rest)), None)
    positive = np.flatnonzero(history.positive)
    last = positive[np.append(np.diff(history.user[positive]) > 0, True)[: len(positive)]]
    tested = pc.is_in(events.column("user_id"), value_set=pc.unique(events.column("user_id").filter(pa.array(chosen))))
    rows = rest[history.rows[last]]
    codes = np.where(chosen, 2, 0).astype(np.int8)
    codes[rows[tested.to_numpy().astype(np.bool_)[rows]]] = 1
    return Split(name, TEST_PARTS, codes, _fingerprint(events.column("event_id"), TEST_PARTS, codes))


def global_time(events: pa.Table, train_fraction: float = 0.8, validation_fraction: float = 0.1) -> Split:
    """Divides the log at two moments, the same for everybody (protocol P3).

    Rows are ordered by time, ties by person and `event_id`; rows without a time are left to training.

    Raises:
      ConfigError: If the shares leave nothing to test on.
    """
    if train_fraction <= 0 or validation_fraction < 0 or train_fraction + validation_fraction >= 1:
        raise ConfigError(
            "Expected shares for training and validation that leave a test part, "
            f"got {train_fraction} and {validation_fraction}. Lower one of them."
        )
    history = _History.of(events, None)
    by_time = np.argsort(history.time_ms, kind="stable")
    ends = np.floor(len(by_time) * np.array([train_fraction, train_fraction + validation_fraction]) + _EPSILON)
    codes = np.empty(len(by_time), np.int8)
    codes[by_time] = np.searchsorted(ends, np.arange(len(by_time)), side="right")
    name = f"global time {train_fraction:g}/{validation_fraction:g}"
    return _split(name, TEST_PARTS, history, codes, events)


@dataclass(frozen=True, eq=False)
class _History:
    """The rows that can be ordered, by user, time and `event_id`; the rest is left to the first part.

    Attributes:
      rows: `[num_ordered]` int64, row numbers of the log.
      copies: `[num_copies, 2]` int64, rows that repeat an `event_id`, each with the row that counts.
      user: `[num_ordered]` int32 codes from 0.
      time_ms: `[num_ordered]` int64.
      positive: `[num_ordered]` bool.
      num_users: One more than the largest code.
    """

    rows: Int64Array
    copies: Int64Array
    user: Int32Array
    time_ms: Int64Array
    positive: BoolArray
    num_users: int

    @classmethod
    def of(cls, events: pa.Table, lawful: BoolArray | None) -> _History:
        users = events.column("user_id").combine_chunks().dictionary_encode()
        # Codes in the order of the ids, not of their first rows.
        codes = pc.rank(users.dictionary, tiebreaker="dense").to_numpy().astype(np.int64) - 1
        known = pc.and_(pc.is_valid(events.column("user_id")), pc.is_valid(events.column("timestamp_ms")))
        usable = known.to_numpy().astype(np.bool_)
        if lawful is not None:
            usable &= lawful
        rows, copies = _part_copies(events, np.flatnonzero(usable))
        keys = pa.table(
            {
                "user": pa.array(codes).take(users.indices.take(pa.array(rows))),
                **{name: events.column(name).take(pa.array(rows)) for name in _ORDER},
            }
        )
        order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
        ordered = keys.take(order)
        positives = pa.array(sorted(action.value for action in POSITIVE_ACTIONS))
        return cls(
            rows=rows[order.to_numpy()],
            copies=copies,
            user=ordered.column("user").to_numpy().astype(np.int32),
            time_ms=ordered.column("timestamp_ms").to_numpy().astype(np.int64),
            positive=pc.is_in(ordered.column("action"), value_set=positives).to_numpy().astype(np.bool_),
            num_users=len(users.dictionary),
        )

    @property
    def positives_per_user(self) -> Int64Array:
        return np.bincount(self.user[self.positive], minlength=self.num_users)

    @property
    def positive_ranks(self) -> Int64Array:
        """Place of each positive among its user's, `[num_positives]` int64 from 0."""
        counts = self.positives_per_user
        first = np.cumsum(counts) - counts
        return np.arange(int(counts.sum())) - first[self.user[self.positive]]

    def ends_of(self, earlier: Int8Array, num_ends: int) -> Int64Array:
        """Positives up to the last one of each part but the last in an earlier division, `[num_ends, num_users]` int64.

        Args:
          earlier: `[num_events]` int8, -1 where a row was in none.
          num_ends: Parts but one.
        """
        before, users = earlier[self.rows][self.positive], self.user[self.positive]
        ends = np.zeros((num_ends, self.num_users), np.int64)
        for part, end in enumerate(ends):
            within = (before >= 0) & (before <= part)
            np.maximum.at(end, users[within], self.positive_ranks[within] + 1)
        return ends

    def cut_by_rank(self, ends: Int64Array) -> Int8Array:
        """Codes of the ordered rows: positives by rank within the user, others by their time.

        Args:
          ends: `[num_parts - 1, num_users]` int64, how many positives lie before the end of each part but the last.
        """
        counts = self.positives_per_user
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        times = self.time_ms[self.positive]
        rank = self.positive_ranks
        codes = np.zeros(len(self.rows), np.int8)
        for end in ends:
            codes[self.positive] += (rank >= end[self.user[self.positive]]).astype(np.int8)
            last = np.clip(first + end - 1, 0, max(len(times) - 1, 0))
            boundary = np.where(end > 0, times[last], np.iinfo(np.int64).min) if len(times) else np.zeros_like(end)
            late = ~self.positive & (self.time_ms > boundary[self.user])
            codes[late] += 1
        return codes


def _part_copies(events: pa.Table, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Parts rows into those that count and those that repeat an id, each of these with the one that counts.

    Of rows with the same id the earliest counts: were a copy counted too, one event could lie both in the cloud's log
    and in the test. An absent id repeats nothing.
    """
    ids = events.column("event_id").take(pa.array(rows)).to_pandas()
    repeated = rows[(ids.duplicated(keep=False) & ids.notna()).to_numpy()]
    if not len(repeated):
        return rows, np.empty((0, 2), np.int64)
    names = ("event_id", "timestamp_ms", "user_id", "action", "item_id")
    table = events.select(names).take(pa.array(repeated))
    order = pc.sort_indices(table, [(name, "ascending") for name in names]).to_numpy()
    ordered = table.column("event_id").take(pa.array(order)).to_pandas()
    is_first = ~ordered.duplicated().to_numpy()
    counting = repeated[order][np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
    copies = np.stack([repeated[order], counting], axis=1)[~is_first]
    return np.setdiff1d(rows, copies[:, 0]), copies


def _split(name: str, part_names: Sequence[str], history: _History, codes: Int8Array, events: pa.Table) -> Split:
    of_rows = np.zeros(events.num_rows, np.int8)
    of_rows[history.rows] = codes
    of_rows[history.copies[:, 0]] = of_rows[history.copies[:, 1]]
    return Split(name, tuple(part_names), of_rows, _fingerprint(events.column("event_id"), part_names, of_rows))


def _fingerprint(event_ids: pa.ChunkedArray, part_names: Sequence[str], codes: npt.NDArray[np.int8]) -> str:
    parts = pa.array(part_names, pa.string()).take(pa.array(codes))
    lines = pc.binary_join_element_wise(pc.fill_null(event_ids.combine_chunks(), ""), parts, " ")
    ordered = lines.take(pc.array_sort_indices(lines))
    return hashlib.sha256("\n".join(ordered.to_pylist()).encode()).hexdigest()[:16]
