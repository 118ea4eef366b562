"""Consented histories that the server keeps of people whose device sends only their id."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from recsys.errors import WorkspaceError


class SessionStore(Protocol):
    """Recent items per user.

    Law: `recent` returns what was appended, oldest first and bounded by the store's length; after `forget` there is
    nothing; what `append` returned from survives a killed process.
    """

    def append(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Adds items (oldest first) to the end of the histories of several users."""

    def recent(self, user_id: str, count: int) -> list[str]:
        """Returns the last `count` items of a user, oldest first; nothing for an unknown user."""

    def forget(self, user_id: str) -> None:
        """Drops everything of a user."""

    def close(self) -> None:
        """Releases the store."""


class SQLiteSessionStore:
    """The embedded store: one file, bounded to `max_items` per user."""

    def __init__(self, path: Path, max_items: int) -> None:
        """Opens or creates the store.

        Args:
          path: The database file.
          max_items: How many items are kept per user, the latest.

        Raises:
          WorkspaceError: If the file is no database or cannot be written.
        """
        self._path, self._max_items, self._lock = path, max_items, threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                "CREATE TABLE IF NOT EXISTS session (position INTEGER PRIMARY KEY, user_id TEXT, item_id TEXT);"
                "CREATE INDEX IF NOT EXISTS by_user ON session (user_id, position);"
            )
        except (OSError, sqlite3.Error) as error:
            raise WorkspaceError(f"Expected a session store at {path}, got: {error}.") from error

    def append(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Adds items in one transaction and trims each user to the bound.

        Raises:
          WorkspaceError: If they cannot be written; then none of them is.
        """
        rows = [(user_id, item_id) for user_id, items in histories.items() for item_id in items[-self._max_items :]]
        self._write(
            lambda cursor: (
                cursor.executemany("INSERT INTO session (user_id, item_id) VALUES (?, ?)", rows),
                self._trim(cursor, histories),
            )
        )

    def replace(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Sets the histories of several users, whatever they were before.

        Raises:
          WorkspaceError: If they cannot be written; then none of them is.
        """
        rows = [(user_id, item_id) for user_id, items in histories.items() for item_id in items[-self._max_items :]]
        self._write(
            lambda cursor: (
                cursor.executemany("DELETE FROM session WHERE user_id = ?", [(user_id,) for user_id in histories]),
                cursor.executemany("INSERT INTO session (user_id, item_id) VALUES (?, ?)", rows),
            )
        )

    def recent(self, user_id: str, count: int) -> list[str]:
        """Returns the last `count` items of a user, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT item_id FROM session WHERE user_id = ? ORDER BY position DESC LIMIT ?", (user_id, count)
            ).fetchall()
        return [row[0] for row in reversed(rows)]

    def forget(self, user_id: str) -> None:
        """Drops everything of a user, also from the file.

        Raises:
          WorkspaceError: If the file cannot be written.
        """
        self._write(lambda cursor: cursor.execute("DELETE FROM session WHERE user_id = ?", (user_id,)))
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Releases the file."""
        with self._lock:
            self._connection.close()

    def _trim(self, cursor: sqlite3.Cursor, user_ids: Iterable[str]) -> None:
        cursor.executemany(
            "DELETE FROM session WHERE user_id = ?1 AND position <= (SELECT position FROM session "
            "WHERE user_id = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)",
            [(user_id, self._max_items) for user_id in user_ids],
        )

    def _write(self, action: Callable[[sqlite3.Cursor], object]) -> None:
        with self._lock:
            cursor = self._connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                action(cursor)
                cursor.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise WorkspaceError(f"Expected to write the session store {self._path}, got: {error}.") from error
