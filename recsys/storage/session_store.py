"""Consented histories that the server keeps of people whose device sends only their id."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

from recsys.contracts.events import check_id
from recsys.errors import ContractError, WorkspaceError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (position INTEGER PRIMARY KEY, user_id TEXT NOT NULL, item_id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_user ON session (user_id, position);
CREATE TABLE IF NOT EXISTS touched (user_id TEXT PRIMARY KEY, at_s REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_time ON touched (at_s);
"""
_INSERT = "INSERT INTO session (user_id, item_id) VALUES (?, ?)"
_DELETE = "DELETE FROM session WHERE user_id = ?"
_TRIM = (
    "DELETE FROM session WHERE user_id = ?1 AND position <= "
    "(SELECT position FROM session WHERE user_id = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)"
)
_RECENT = (
    "SELECT item_id FROM session WHERE user_id = ?1 AND NOT EXISTS "
    "(SELECT 1 FROM touched WHERE user_id = ?1 AND at_s <= ?3) ORDER BY position DESC LIMIT ?2"
)
_TOUCH = "INSERT INTO touched VALUES (?1, ?2) ON CONFLICT (user_id) DO UPDATE SET at_s = ?2"
_EXPIRED = "SELECT user_id FROM touched WHERE at_s <= ? ORDER BY at_s LIMIT ?"
_IS_EXPIRED = "SELECT 1 FROM touched WHERE user_id = ? AND at_s <= ?"
_UNDATED = "INSERT OR IGNORE INTO touched SELECT DISTINCT user_id, ? FROM session"

DEFAULT_TTL_S: Final = 2_592_000.0
"""30 days."""

_SWEPT: Final = 100
"""Expired users that each write removes at most, so that none pays for many."""
_USER_IDS = "SELECT DISTINCT user_id FROM session ORDER BY user_id LIMIT ?"


class SessionStore(Protocol):
    """Recent items per user.

    Law (`tests/suites/store.py`): `recent` returns what was appended, oldest first and bounded by the store's length,
    until the user was left alone for the store's time to live; after `forget` there is nothing; what `append`,
    `replace` or `forget` returned from survives a killed process.
    """

    def append(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Adds items (oldest first) to the end of the histories of several users."""

    def replace(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Sets the histories of several users, whatever they were before."""

    def recent(self, user_id: str, count: int) -> list[str]:
        """Returns the last `count` items of a user, oldest first; nothing for an unknown user."""

    def forget(self, user_id: str) -> None:
        """Drops everything of a user."""

    def close(self) -> None:
        """Releases the store."""


class SQLiteSessionStore:
    """The embedded store: one file, bounded to `max_items` per user, usable by many threads and processes at once.

    Reading and writing have a connection each: in WAL mode a reader never waits for a write to reach the disk.
    """

    def __init__(self, path: Path, max_items: int, ttl_s: float = DEFAULT_TTL_S) -> None:
        """Opens or creates the store.

        Args:
          path: The database file.
          max_items: How many items are kept per user, the latest.
          ttl_s: A user whom nothing was written of for so long is forgotten.

        Raises:
          ContractError: If `max_items` is below 1 or `ttl_s` not above 0.
          WorkspaceError: If the file is no database or cannot be written.
        """
        check_bounds(max_items, ttl_s)
        self._path, self._max_items, self._ttl_s = path, max_items, ttl_s
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        with self._explain("open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = sqlite3.connect(path, timeout=30.0, check_same_thread=False, isolation_level=None)
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._writer.execute("PRAGMA synchronous=FULL")
                self._writer.execute("PRAGMA secure_delete=ON")
                self._writer.executescript(_SCHEMA)
                if self._writer.execute("SELECT 1 FROM touched LIMIT 1").fetchone() is None:
                    self._writer.execute(_UNDATED, (time.time(),))  # a file from before users had a time
                self._reader = sqlite3.connect(path, timeout=30.0, check_same_thread=False, isolation_level=None)
            except sqlite3.Error:
                self._writer.close()
                raise

    def append(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Adds items (oldest first) in one transaction and trims each user to the bound.

        Raises:
          ContractError: If an id is empty or too long.
          WorkspaceError: If they cannot be written; then none of them is.
        """
        rows = check_rows(histories, self._max_items)
        with self._transaction() as cursor:
            self._touch(cursor, histories)
            cursor.executemany(_INSERT, rows)
            cursor.executemany(_TRIM, [(user_id, self._max_items) for user_id in histories])

    def replace(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Sets the histories of several users in one transaction, whatever they were before.

        Raises:
          ContractError: If an id is empty or too long.
          WorkspaceError: If they cannot be written; then none of them is.
        """
        rows = check_rows(histories, self._max_items)
        with self._transaction() as cursor:
            self._touch(cursor, histories)
            cursor.executemany(_DELETE, [(user_id,) for user_id in histories])
            cursor.executemany(_INSERT, rows)

    def recent(self, user_id: str, count: int) -> list[str]:
        """Returns the last `count` items of a user, oldest first; nothing for an unknown user.

        Raises:
          WorkspaceError: If the file cannot be read.
        """
        with self._explain("read"), self._read_lock:
            rows = self._reader.execute(_RECENT, (user_id, max(count, 0), time.time() - self._ttl_s)).fetchall()
        return [row[0] for row in reversed(rows)]

    def user_ids(self, count: int) -> list[str]:
        """Returns up to `count` users who have a history, by id.

        Raises:
          WorkspaceError: If the file cannot be read.
        """
        with self._explain("read"), self._read_lock:
            return [row[0] for row in self._reader.execute(_USER_IDS, (max(count, 0),)).fetchall()]

    def forget(self, user_id: str) -> None:
        """Drops everything of a user, also the bytes in the file and its log.

        Raises:
          WorkspaceError: If the file cannot be written.
        """
        with self._transaction() as cursor:
            _drop(cursor, user_id)
        with self._explain("write"), self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Releases the file."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def _touch(self, cursor: sqlite3.Cursor, histories: Mapping[str, Sequence[str]]) -> None:
        """Notes that something is written of these users; drops some whose time is over, and these where it is."""
        now_s = time.time()
        for (user_id,) in cursor.execute(_EXPIRED, (now_s - self._ttl_s, _SWEPT)).fetchall():
            _drop(cursor, user_id)
        for user_id in histories:
            if cursor.execute(_IS_EXPIRED, (user_id, now_s - self._ttl_s)).fetchone() is not None:
                _drop(cursor, user_id)
            cursor.execute(_TOUCH, (user_id, now_s))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._explain("write"), self._write_lock, closing(self._writer.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    cursor.execute("ROLLBACK")

    @contextmanager
    def _explain(self, verb: str) -> Iterator[None]:
        try:
            yield
        except UnicodeEncodeError as error:
            raise ContractError(f"Expected ids of whole Unicode characters, got {error.object!r:.60}.") from error
        except (OSError, sqlite3.Error) as error:
            raise WorkspaceError(
                f"Expected to {verb} the session store {self._path}, got: {error}. Check the disk; "
                "if the file is damaged, remove it and publish the histories again."
            ) from error


def check_bounds(max_items: int, ttl_s: float) -> None:
    """Refuses a store that could keep nothing.

    Raises:
      ContractError: If `max_items` is below 1 or `ttl_s` not above 0.
    """
    if max_items < 1:
        raise ContractError(f"Expected `max_items` from 1 up, got {max_items}.")
    if not ttl_s > 0:
        raise ContractError(f"Expected `ttl_s` above 0, got {ttl_s}.")


def check_rows(histories: Mapping[str, Sequence[str]], max_items: int) -> list[tuple[str, str]]:
    """Returns user and item of all that is to be kept, in order, at most `max_items` per user.

    Raises:
      ContractError: If an id is empty or too long.
    """
    rows = [(user_id, item_id) for user_id, items in histories.items() for item_id in items[-max_items:]]
    for user_id, item_id in rows:
        check_id("user_id", user_id)
        check_id("item_id", item_id)
    return rows


def _drop(cursor: sqlite3.Cursor, user_id: str) -> None:
    cursor.execute(_DELETE, (user_id,))
    cursor.execute("DELETE FROM touched WHERE user_id = ?", (user_id,))
