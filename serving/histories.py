"""What the server may know of a person: the consented history that training left, and what came since."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import StoreAwayError
from recsys.storage.session_store import SessionStore, SQLiteSessionStore


@dataclass(frozen=True)
class Known:
    """Item ids, oldest first; `degraded` where what came since the last training could not be asked for."""

    item_ids: Sequence[str]
    degraded: bool = False


class ConsentedHistories:
    """Recent items of people who consented; nobody is known where there is no store.

    The embedded store in the workspace is filled by training. By default what comes since is added to it; with Redis,
    which several machines share, it is added there, behind what the embedded store says. While Redis is away the
    embedded store alone is read and nothing is added: the next training makes up for it, out of the event log.
    """

    def __init__(self, path: Path, length: int, ttl_s: float, redis_url: str = "") -> None:
        """Opens nothing yet.

        Args:
          path: The embedded store's file.
          length: How many items of a person are kept and read.
          ttl_s: When somebody of whom nothing comes is forgotten.
          redis_url: The Redis server; empty for none.

        Raises:
          ContractError: If `redis_url` is none.
        """
        self._path, self._length, self._ttl_s = path, length, ttl_s
        self._embedded: SQLiteSessionStore | None = None
        self._shared = _open_shared(redis_url, length, ttl_s) if redis_url else None
        self._lock = threading.Lock()

    def recent(self, user_id: str) -> Known:
        """Returns a person's latest items; none for somebody unknown.

        Raises:
          WorkspaceError: If the file is no session store.
        """
        if self._shared is not None:
            try:
                items = self._shared.recent(user_id, self._length)
            except StoreAwayError:
                return Known(self._trained(user_id), degraded=True)
            if items:
                return Known(items)
        return Known(self._trained(user_id))

    def append(self, histories: Mapping[str, Sequence[str]]) -> bool:
        """Adds items (oldest first) and returns whether they were added; they are not while Redis is away.

        Raises:
          WorkspaceError: If the embedded store cannot be written.
        """
        if self._shared is None:
            self._open(make=True).append(histories)  # type: ignore[union-attr]
            return True
        try:
            known = {user_id: bool(self._shared.recent(user_id, 1)) for user_id in histories}
            self._shared.append(
                {
                    user_id: list(items) if known[user_id] else [*self._trained(user_id), *items]
                    for user_id, items in histories.items()
                }
            )
        except StoreAwayError:
            return False
        return True

    def forget(self, user_id: str) -> None:
        """Drops everything of a person, in both stores.

        Raises:
          WorkspaceError: If the embedded store cannot be written.
          StoreAwayError: If Redis is away; the embedded store has forgotten by then.
        """
        store = self._open()
        if store is not None:
            store.forget(user_id)
        if self._shared is not None:
            self._shared.forget(user_id)

    def user_ids(self, count: int) -> list[str]:
        """Returns up to `count` people of whom the embedded store knows, by id; nobody where there is no store.

        Raises:
          WorkspaceError: If the file is no session store.
        """
        store = self._open()
        return [] if store is None else store.user_ids(count)

    def close(self) -> None:
        """Releases the stores."""
        with self._lock:
            if self._embedded is not None:
                self._embedded.close()
        if self._shared is not None:
            self._shared.close()

    def _trained(self, user_id: str) -> list[str]:
        store = self._open()
        return [] if store is None else store.recent(user_id, self._length)

    def _open(self, make: bool = False) -> SQLiteSessionStore | None:
        """Returns the embedded store; None where there is none and none is to be made."""
        with self._lock:
            if self._embedded is None and (make or self._path.exists()):
                self._embedded = SQLiteSessionStore(self._path, self._length, self._ttl_s)
            return self._embedded


def _open_shared(url: str, length: int, ttl_s: float) -> SessionStore:
    # Loading Redis' client takes a sixth of a server's start, and most servers have no Redis.
    from recsys.storage.redis_session_store import RedisSessionStore

    return RedisSessionStore(url, length, ttl_s)
