"""Consented events that the server received and no training has taken yet, and who asked to be forgotten.

What `append` returned from is on the disk: SQLite commits to its write-ahead log and flushes it. Events are known by
their ids, so that one that is sent again, or whose sender never saw the answer, is kept once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from recsys.contracts.events import Action, Event, Surface, check_id
from recsys.errors import ContractError, OverloadError, WorkspaceError

LOG_FILE: Final = "events.sqlite"
"""Its name in the workspace's folder `state`."""

MAX_REMEMBERED: Final = 1_000_000
"""Ids of taken events that are remembered, so that they are not accepted again; the log itself knows the older ones."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
  number INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, item_id TEXT NOT NULL,
  action TEXT NOT NULL, surface TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, value REAL, position INTEGER, room_id TEXT
);
CREATE INDEX IF NOT EXISTS waiting_by_user ON waiting (user_id);
CREATE TABLE IF NOT EXISTS taken (number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS taken_by_user ON taken (user_id);
CREATE TABLE IF NOT EXISTS leaving (user_id TEXT PRIMARY KEY);
"""
_COLUMNS = "event_id, user_id, item_id, action, surface, timestamp_ms, value, position, room_id"
_INSERT = (
    f"INSERT INTO waiting ({_COLUMNS}) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 "
    "WHERE NOT EXISTS (SELECT 1 FROM taken WHERE event_id = ?1) ON CONFLICT (event_id) DO NOTHING"
)
_SPAN = "SELECT IFNULL((SELECT MAX(number) FROM waiting) - (SELECT MIN(number) FROM waiting) + 1, 0)"
"""At least as many as wait: numbers rise, and those of whom somebody was forgotten are missing."""
_READ = f"SELECT number, {_COLUMNS} FROM waiting ORDER BY number"
_TAKE = "INSERT OR IGNORE INTO taken (event_id, user_id) SELECT event_id, user_id FROM waiting WHERE number <= ?"
_TRIM = "DELETE FROM taken WHERE number <= (SELECT MAX(number) FROM taken) - ?"


class EventLog:
    """One file in the workspace; usable by many threads and processes at once."""

    def __init__(self, path: Path, max_events: int) -> None:
        """Opens or creates the log.

        Args:
          path: The database file.
          max_events: How many events may wait for a training.

        Raises:
          ContractError: If `max_events` is below 1.
          WorkspaceError: If the file is no database or cannot be written.
        """
        if max_events < 1:
            raise ContractError(f"Expected `max_events` from 1 up, got {max_events}.")
        self._path, self._max_events, self._lock = path, max_events, threading.Lock()
        with self._explain("open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30.0, check_same_thread=False, isolation_level=None)
            try:
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                    self._database.execute(f"PRAGMA {pragma}")
                self._database.executescript(_SCHEMA)
            except sqlite3.Error:
                self._database.close()
                raise

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Keeps those events whose ids are new, all in one transaction, and returns them.

        Raises:
          OverloadError: If more would wait than may; then none is kept.
          ContractError: If an id cannot be stored.
          WorkspaceError: If they cannot be written; then none of them is.
        """
        fresh = []
        with self._transaction() as cursor:
            for event in events:
                cursor.execute(_INSERT, _row(event))
                if cursor.rowcount == 1:
                    fresh.append(event)
            (span,) = cursor.execute(_SPAN).fetchone()
            # Counting reads the whole log, so only where there may be too many.
            num_waiting = cursor.execute("SELECT COUNT(*) FROM waiting").fetchone()[0] if span > self._max_events else 0
            if fresh and num_waiting > self._max_events:
                raise OverloadError(
                    f"Expected at most {self._max_events} events to wait for a training, got {num_waiting}. "
                    "Run `tandem train`, which takes them; then send these again."
                )
        return fresh

    def waiting(self) -> tuple[int, list[Event]]:
        """Returns the number of the last waiting event (0: none waits), and all of them in the order they came.

        Raises:
          WorkspaceError: If the file cannot be read.
        """
        with self._explain("read"), self._lock:
            rows = self._database.execute(_READ).fetchall()
        return (rows[-1][0] if rows else 0), [_event(row[1:]) for row in rows]

    def take(self, last: int) -> None:
        """Drops the waiting events up to a number, once they lie elsewhere; their ids stay known.

        Raises:
          WorkspaceError: If the file cannot be written.
        """
        with self._transaction() as cursor:
            cursor.execute(_TAKE, (last,))
            cursor.execute("DELETE FROM waiting WHERE number <= ?", (last,))
            cursor.execute(_TRIM, (MAX_REMEMBERED,))

    def begin_forgetting(self, user_id: str) -> None:
        """Drops the events of a person, and notes durably that the rest of the workspace must forget them too.

        Raises:
          ContractError: If the id is none.
          WorkspaceError: If the file cannot be written.
        """
        check_id("user_id", user_id)
        with self._transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO leaving VALUES (?)", (user_id,))
            _delete(cursor, user_id)

    def leaving(self) -> list[str]:
        """Returns who must be forgotten yet.

        Raises:
          WorkspaceError: If the file cannot be read.
        """
        with self._explain("read"), self._lock:
            return [row[0] for row in self._database.execute("SELECT user_id FROM leaving ORDER BY user_id")]

    def end_forgetting(self, user_id: str) -> None:
        """Drops the last trace of a person, and what came of them meanwhile; also the bytes in the file and its log.

        Raises:
          WorkspaceError: If the file cannot be written.
        """
        with self._transaction() as cursor:
            _delete(cursor, user_id)
            cursor.execute("DELETE FROM leaving WHERE user_id = ?", (user_id,))
        with self._explain("write"), self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Releases the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._explain("write"), self._lock, closing(self._database.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    cursor.execute("ROLLBACK")

    @contextmanager
    def _explain(self, verb: str) -> Iterator[None]:
        try:
            yield
        except UnicodeEncodeError as error:
            raise ContractError(f"Expected ids of whole Unicode characters, got {error.object!r:.60}.") from error
        except (OSError, sqlite3.Error) as error:
            raise WorkspaceError(
                f"Expected to {verb} the event log {self._path}, got: {error}. Check the disk; what was acknowledged "
                "before is kept."
            ) from error


def _delete(cursor: sqlite3.Cursor, user_id: str) -> None:
    cursor.execute("DELETE FROM waiting WHERE user_id = ?", (user_id,))
    cursor.execute("DELETE FROM taken WHERE user_id = ?", (user_id,))


def _row(event: Event) -> tuple[str | int | float | None, ...]:
    ids = (event.event_id, event.user_id, event.item_id, event.action.value, event.surface.value)
    return (*ids, event.timestamp_ms, event.value, event.position, event.room_id)


def _event(row: Sequence[str]) -> Event:
    event_id, user_id, item_id, action, surface, *rest = row
    return Event(event_id, user_id, item_id, Action(action), Surface(surface), *rest)  # type: ignore[arg-type]
