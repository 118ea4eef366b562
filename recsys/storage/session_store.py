"""Consented histories that the server keeps of people whose device sends only their id."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from recsys.contracts.events import check_id
from recsys.errors import ContractError, WorkspaceError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (position INTEGER PRIMARY KEY, user_id TEXT NOT NULL, item_id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_user ON session (user_id, position);
"""
_INSERT = "INSERT INTO session (user_id, item_id) VALUES (?, ?)"
_DELETE = "DELETE FROM session WHERE user_id = ?"
_TRIM = (
    "DELETE FROM session WHERE user_id = ?1 AND position <= "
    "(SELECT position FROM session WHERE user_id = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)"
)
_USER_IDS = "SELECT DISTINCT user_id FROM session ORDER BY user_id LIMIT ?"
_RECENT = "SELECT item_id FROM session WHERE user_id = ? ORDER BY position DESC LIMIT ?"


class SessionStore(Protocol):
    """Recent items per user.

    Law (`tests/suites/store.py`): `recent` returns what was appended, oldest first and bounded by the store's length;
    after `forget` there is nothing; what `append`, `replace` or `forget` returned from survives a killed process.
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

    def __init__(self, path: Path, max_items: int) -> None:
        """Opens or creates the store.

        Args:
          path: The database file.
          max_items: How many items are kept per user, the latest.

        Raises:
          ContractError: If `max_items` is below 1.
          WorkspaceError: If the file is no database or cannot be written.
        """
        if max_items < 1:
            raise ContractError(f"Expected `max_items` from 1 up, got {max_items}.")
        self._path, self._max_items = path, max_items
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        with self._explain("open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = sqlite3.connect(path, timeout=30.0, check_same_thread=False, isolation_level=None)
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._writer.execute("PRAGMA synchronous=FULL")
                self._writer.execute("PRAGMA secure_delete=ON")
                self._writer.executescript(_SCHEMA)
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
        rows = self._rows(histories)
        with self._transaction() as cursor:
            cursor.executemany(_INSERT, rows)
            cursor.executemany(_TRIM, [(user_id, self._max_items) for user_id in histories])

    def replace(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Sets the histories of several users in one transaction, whatever they were before.

        Raises:
          ContractError: If an id is empty or too long.
          WorkspaceError: If they cannot be written; then none of them is.
        """
        rows = self._rows(histories)
        with self._transaction() as cursor:
            cursor.executemany(_DELETE, [(user_id,) for user_id in histories])
            cursor.executemany(_INSERT, rows)

    def recent(self, user_id: str, count: int) -> list[str]:
        """Returns the last `count` items of a user, oldest first; nothing for an unknown user.

        Raises:
          WorkspaceError: If the file cannot be read.
        """
        with self._explain("read"), self._read_lock:
            rows = self._reader.execute(_RECENT, (user_id, max(count, 0))).fetchall()
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
            cursor.execute(_DELETE, (user_id,))
        with self._explain("write"), self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Releases the file."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def _rows(self, histories: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        rows = [(user_id, item_id) for user_id, items in histories.items() for item_id in items[-self._max_items :]]
        for user_id, item_id in rows:
            check_id("user_id", user_id)
            check_id("item_id", item_id)
        return rows

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
