"""The consented histories that training left in the workspace, as the server reads them."""

from __future__ import annotations

import threading
from pathlib import Path

from recsys.storage.session_store import SQLiteSessionStore


class ConsentedHistories:
    """Recent items of people who consented; nobody is known where there is no store.

    The store is opened on first use and never made: it belongs to whoever writes it.
    """

    def __init__(self, path: Path, length: int) -> None:
        """Opens nothing yet.

        Args:
          path: The session store's file.
          length: How many items of a person are read.
        """
        self._path = path
        self._length = length
        self._store: SQLiteSessionStore | None = None
        self._lock = threading.Lock()

    def recent(self, user_id: str) -> list[str]:
        """Returns a person's latest items, oldest first; none for somebody unknown.

        Raises:
          WorkspaceError: If the file is no session store.
        """
        store = self._open()
        return [] if store is None else store.recent(user_id, self._length)

    def user_ids(self, count: int) -> list[str]:
        """Returns up to `count` people who have a history, by id; nobody where there is no store.

        Raises:
          WorkspaceError: If the file is no session store.
        """
        store = self._open()
        return [] if store is None else store.user_ids(count)

    def close(self) -> None:
        """Releases the store."""
        with self._lock:
            if self._store is not None:
                self._store.close()

    def _open(self) -> SQLiteSessionStore | None:
        with self._lock:
            if self._store is None and self._path.exists():
                self._store = SQLiteSessionStore(self._path, self._length)
            return self._store
