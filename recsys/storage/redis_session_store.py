"""The session store on a Redis server, which several serving machines share.

Its memory is bounded by policy: a list per user, trimmed to its length with every write, and dropped by Redis itself
when the user was left alone for the time to live. What an acknowledged write is worth if Redis itself is killed is
Redis' own setting (`appendonly`, `appendfsync`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis

from recsys.errors import ContractError, StoreAwayError
from recsys.storage.session_store import DEFAULT_TTL_S, check_bounds, check_rows

_TIMEOUT_S: Final = 0.25
_RETRY_S: Final = 1.0
"""How long a server that did not answer is left alone: no request waits for it meanwhile."""


class RedisSessionStore:
    """A `SessionStore` on a Redis server, usable by many threads and processes at once."""

    def __init__(self, url: str, max_items: int, ttl_s: float = DEFAULT_TTL_S, prefix: str = "tandem:session:") -> None:
        """Connects with the first use.

        Args:
          url: As `redis://host:6379/0`, `rediss://…` for TLS, or `unix:///path`.
          max_items: How many items are kept per user, the latest.
          ttl_s: A user whom nothing was written of for so long is forgotten.
          prefix: Begins every key.

        Raises:
          ContractError: If `max_items` is below 1, `ttl_s` not above 0, or `url` none of Redis.
        """
        check_bounds(max_items, ttl_s)
        self._max_items, self._ttl_ms, self._prefix = max_items, max(1, round(ttl_s * 1e3)), prefix
        try:
            self._client: Any = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, decode_responses=True
            )
        except ValueError as error:
            raise ContractError(f"Expected the address of a Redis server, got one that is none: {error}") from error
        self._lock, self._away_until_s = threading.Lock(), 0.0

    def append(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Adds items (oldest first) in one transaction and trims each user to the bound.

        Raises:
          ContractError: If an id is empty or too long.
          StoreAwayError: If the server does not answer; it may have taken them all, or none.
        """
        self._write(histories, anew=False)

    def replace(self, histories: Mapping[str, Sequence[str]]) -> None:
        """Sets the histories of several users in one transaction, whatever they were before.

        Raises:
          ContractError: If an id is empty or too long.
          StoreAwayError: If the server does not answer; it may have taken them all, or none.
        """
        self._write(histories, anew=True)

    def recent(self, user_id: str, count: int) -> list[str]:
        """Returns the last `count` items of a user, oldest first; nothing for an unknown user.

        Raises:
          StoreAwayError: If the server does not answer.
        """
        if count < 1:
            return []
        with self._explain():
            return list(self._client.lrange(self._key(user_id), -count, -1))

    def forget(self, user_id: str) -> None:
        """Drops everything of a user.

        Raises:
          StoreAwayError: If the server does not answer; then nothing is promised.
        """
        with self._explain():
            self._client.delete(self._key(user_id))

    def close(self) -> None:
        """Releases the connections."""
        self._client.close()

    def _write(self, histories: Mapping[str, Sequence[str]], anew: bool) -> None:
        check_rows(histories, self._max_items)
        with self._explain(), self._client.pipeline(transaction=True) as pipeline:
            for user_id, items in histories.items():
                key = self._key(user_id)
                if anew:
                    pipeline.delete(key)
                if items:
                    pipeline.rpush(key, *items[-self._max_items :])
                    pipeline.ltrim(key, -self._max_items, -1)
                    pipeline.pexpire(key, self._ttl_ms)
            pipeline.execute()

    def _key(self, user_id: str) -> str:
        return f"{self._prefix}{user_id}"

    @contextmanager
    def _explain(self) -> Iterator[None]:
        if time.monotonic() < self._away_until_s:
            raise self._away("no answer a moment ago")
        try:
            yield
        except UnicodeEncodeError as error:
            raise ContractError(f"Expected ids of whole Unicode characters, got {error.object!r:.60}.") from error
        except redis.RedisError as error:
            with self._lock:
                self._away_until_s = time.monotonic() + _RETRY_S
            raise self._away(type(error).__name__) from error

    def _away(self, what: str) -> StoreAwayError:
        return StoreAwayError(f"Expected an answer of the session store on Redis, got {what}. Try again in a second.")
