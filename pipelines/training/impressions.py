"""What people were shown together in the validation period, and what they did about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from pipelines.training.examples import Sequences
from recsys.contracts.arrays import BoolArray, Int32Array, Int64Array
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS, Action
from recsys.features.tasks import TASK_ACTIONS, TASKS

_COLUMNS = ["user_id", "item_index", "action", "period", "surface", "timestamp_ms"]
_POSITIVE_CODES = [ACTION_CODES[action] for action in POSITIVE_ACTIONS]
_SHOWN_CODES: Final = [ACTION_CODES[Action.IMPRESSION], ACTION_CODES[Action.DISLIKE]]
"""Only a log that has one of these tells of what was shown and not taken up."""


@dataclass(frozen=True)
class Shown:
    """Lists that were shown, one user after the other.

    Attributes:
      users: `[num_lists]` int64, whose; numbered as in `Sequences`, behind them users without any positive.
      histories: `[num_lists, history_length]` int32, what was chosen before the list was shown, padded on the left.
      candidates: `[num_lists, num_candidates]` int32, in the order in which they were shown, zeros behind.
      fulfilled: `[num_lists, num_candidates, len(TASKS)]` bool; nothing is, of an item that was disliked.
    """

    users: Int64Array
    histories: Int32Array
    candidates: Int32Array
    fulfilled: BoolArray

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.users)

    def take(self, rows: Int64Array) -> Shown:
        """Returns some of the lists."""
        return Shown(self.users[rows], self.histories[rows], self.candidates[rows], self.fulfilled[rows])


def read_shown(examples_dir: Path, session_gap_s: float, num_candidates: int, history_length: int) -> Shown:
    """Reads the lists of `events/`: what one user was shown on one surface without a longer pause, an item once.

    Sessions that tell of no impression and no dislike are left out, and so is, of a session that the training period
    cuts in two, what was answered in both periods.

    Args:
      examples_dir: What the prepare stage wrote.
      session_gap_s: The pause that ends a list,
      num_candidates: as so many items do.
      history_length: Items kept of a history.
    """
    rows, sequences = _read_rows(examples_dir)
    sessions = _sessions(rows, int(session_gap_s * 1000))
    keys = sessions * rows.width + rows.items
    chosen, first, places = np.unique(
        np.where(sessions < 0, -1, keys), return_index=True, return_inverse=True
    )  # one per session and item; -1 gathers what belongs to none
    kept = (chosen >= 0) & ~np.isin(chosen, _answered_before(rows, sessions, int(session_gap_s * 1000)))
    fulfilled = _fulfilled(rows.actions, places, len(chosen))
    order = np.flatnonzero(kept)[np.argsort(first[kept], kind="stable")]
    order = order[np.argsort(sessions[first[order]], kind="stable")]
    lists, slots = _divide(sessions[first[order]], num_candidates)
    num_lists, width = int(lists.max(initial=-1)) + 1, int(slots.max(initial=0)) + 1
    candidates = np.zeros((num_lists, width), np.int32)
    answers = np.zeros((num_lists, width, len(TASKS)), np.bool_)
    candidates[lists, slots], answers[lists, slots] = rows.items[first[order]], fulfilled[order]
    heads = first[order][slots == 0]
    users = rows.users[heads]
    histories = sequences.padded_histories(users, rows.num_before[heads], history_length)
    return Shown(users, histories, candidates, answers)


@dataclass(frozen=True)
class _Rows:
    """Events by user and time, `[num_rows]` each; `num_before` counts the entries of all sequences before a row."""

    users: Int64Array
    items: Int64Array
    actions: npt.NDArray[np.int8]
    is_validation: BoolArray
    surfaces: npt.NDArray[np.int8]
    times_ms: Int64Array
    num_before: Int64Array

    @property
    def width(self) -> int:
        """Above every item index."""
        return int(self.items.max(initial=0)) + 1


def _read_rows(examples_dir: Path) -> tuple[_Rows, Sequences]:
    table = ds.dataset(examples_dir / "events", format="parquet").to_table(columns=_COLUMNS)
    names = table.column("user_id").combine_chunks().dictionary_encode()
    actions = table.column("action").to_numpy()
    is_positive = np.isin(actions, _POSITIVE_CODES)
    users = _number_users(names, is_positive)
    order = np.argsort(users, kind="stable")
    users, is_positive, actions = users[order], is_positive[order], actions[order]
    items = table.column("item_index").to_numpy()[order].astype(np.int64)
    positives = np.flatnonzero(is_positive)
    repeated = np.zeros(len(positives), np.bool_)
    repeated[1:] = (items[positives[1:]] == items[positives[:-1]]) & (users[positives[1:]] == users[positives[:-1]])
    positives = positives[~repeated]
    is_entry = np.zeros(len(users), np.int64)
    is_entry[positives] = 1
    num_users = int(users.max(initial=-1)) + 1
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users[positives], minlength=num_users))]).astype(np.int64)
    is_validation = table.column("period").to_numpy()[order] > 0
    rows = _Rows(
        users=users,
        items=items,
        actions=actions,
        is_validation=is_validation,
        surfaces=table.column("surface").to_numpy()[order],
        times_ms=table.column("timestamp_ms").to_numpy()[order],
        num_before=np.cumsum(is_entry) - is_entry,
    )
    return rows, Sequences(offsets, items[positives].astype(np.int32), is_validation[positives])


def _number_users(names: pa.DictionaryArray, is_positive: BoolArray) -> Int64Array:
    """A number per row: users with positives by their id, as `read_sequences` has them, then the others by theirs."""
    ids = np.asarray(names.dictionary.to_pylist(), object)
    codes = names.indices.to_numpy()
    has_none = np.bincount(codes[is_positive], minlength=len(ids)) == 0
    order = np.lexsort((np.argsort(np.argsort(ids)), has_none))
    numbers = np.empty(len(ids), np.int64)
    numbers[order] = np.arange(len(ids))
    return numbers[codes]


def _sessions(rows: _Rows, gap_ms: int) -> Int64Array:
    """The session of each row, rising with user, surface and time; -1 where it is none to learn from."""
    sessions = np.full(len(rows.users), -1, np.int64)
    late = np.flatnonzero(rows.is_validation)
    late = late[np.lexsort((late, rows.surfaces[late], rows.users[late]))]
    begins = np.ones(len(late), np.bool_)
    begins[1:] = (
        (rows.users[late[1:]] != rows.users[late[:-1]])
        | (rows.surfaces[late[1:]] != rows.surfaces[late[:-1]])
        | (rows.times_ms[late[1:]] - rows.times_ms[late[:-1]] > gap_ms)
    )
    numbers = np.cumsum(begins) - 1
    tells = np.unique(numbers[np.isin(rows.actions[late], _SHOWN_CODES)])
    sessions[late] = np.where(np.isin(numbers, tells), numbers, -1)
    return sessions


def _answered_before(rows: _Rows, sessions: Int64Array, gap_ms: int) -> Int64Array:
    """Keys of sessions and items whose user met the item in the training period, less than a gap before."""
    pairs = rows.users * rows.width + rows.items
    early = np.flatnonzero(~rows.is_validation)[::-1]
    met, latest = np.unique(pairs[early], return_index=True)
    late = np.flatnonzero(sessions >= 0)
    known = np.isin(pairs[late], met)
    late = late[known]
    before = rows.times_ms[early[latest]][np.searchsorted(met, pairs[late])] if len(late) else np.zeros(0, np.int64)
    near = late[rows.times_ms[late] - before <= gap_ms]
    return sessions[near] * rows.width + rows.items[near]


def _fulfilled(actions: npt.NDArray[np.int8], places: Int64Array, count: int) -> BoolArray:
    """Which tasks the events of each place fulfil, `[count, len(TASKS)]` bool."""
    fulfilled = np.zeros((count, len(TASKS)), np.bool_)
    for column, task in enumerate(TASKS):
        codes = [ACTION_CODES[action] for action in TASK_ACTIONS[task]]
        fulfilled[places[np.isin(actions, codes)], column] = True
    fulfilled[places[actions == ACTION_CODES[Action.DISLIKE]]] = False
    return fulfilled


def _divide(sessions: Int64Array, num_candidates: int) -> tuple[Int64Array, Int64Array]:
    """The list of each row of ordered sessions, and its place in the list."""
    if len(sessions) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = np.flatnonzero(np.diff(sessions, prepend=-1))
    lengths = np.diff(first, append=len(sessions))
    slots = (np.arange(len(sessions)) - np.repeat(first, lengths)) % num_candidates
    return np.cumsum(slots == 0) - 1, slots
