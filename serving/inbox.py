"""What people send and ask for: consented events, and to be forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recsys.contracts.events import POSITIVE_ACTIONS, Event
from recsys.errors import StoreAwayError, TandemError
from recsys.storage.event_log import LOG_FILE, EventLog
from recsys.storage.lock import hold_lock, try_lock
from recsys.storage.workspace import TRAIN_LOCK, Workspace
from serving.histories import ConsentedHistories
from serving.observation import LOGGER

_LOCK: Final = "forgetting.lock"
"""In the workspace's folder `state`: held by whoever settles."""


@dataclass(frozen=True)
class Receipt:
    """How many events were new; `degraded` where recommendations do not know of them yet."""

    num_accepted: int
    degraded: bool


class Inbox:
    """The server's half of the event log; `data.inbox` is the training's. Callable from any thread."""

    def __init__(self, workspace: Workspace, histories: ConsentedHistories, max_waiting: int) -> None:
        """Opens nothing yet.

        Args:
          workspace: Whose log it is.
          histories: Told at once what people like.
          max_waiting: How many events may wait for a training.
        """
        self._workspace = workspace
        self._histories = histories
        self._max_waiting = max_waiting
        self._log: EventLog | None = None
        self._lock = threading.Lock()
        self._reason = ""

    def receive(self, events: Sequence[Event]) -> Receipt:
        """Keeps events durably, each id once, and returns when they are on the disk.

        Raises:
          OverloadError: If too many wait; then none is kept.
          WorkspaceError: If they cannot be written; then none is kept.
        """
        fresh = self._open().append(events)
        liked = _liked(fresh)
        added = self._histories.append(liked) if liked else True
        return Receipt(len(fresh), degraded=not added)

    def forget(self, user_id: str) -> bool:
        """Forgets a person; sessions and waiting events at once, the workspace's files now or after a running training.

        Returns:
          Whether all is done. If not, `settle` or the training does the rest: it is noted durably.

        Raises:
          ContractError: If the id is none.
          WorkspaceError: If a file cannot be read or written.
          StoreAwayError: If Redis is away; the rest was done.
        """
        self._open().begin_forgetting(user_id)
        away: StoreAwayError | None = None
        try:
            self._histories.forget(user_id)
        except StoreAwayError as error:
            away = error
        done = self.settle()
        if away is not None:
            raise away
        return done

    def settle(self) -> bool:
        """Does what is left of forgetting, unless a training is under way; returns whether nothing is left.

        Raises:
          WorkspaceError: If a file cannot be read or written.
        """
        if self._log is None and not (self._workspace.state / LOG_FILE).exists():
            return True
        log = self._open()
        if not log.leaving():
            return True
        # Threads and processes wait for each other: else one would take the other, who holds the workspace's lock, for
        # a training.
        with hold_lock(self._workspace.state / _LOCK), try_lock(self._workspace.root / TRAIN_LOCK) as is_free:
            if is_free and log.leaving():
                # It rewrites Parquet: what that takes to load, a server that forgets nobody does not start with.
                from data.inbox import forget_leaving

                forget_leaving(self._workspace, log)
        return is_free or not log.leaving()

    async def watch(self, poll_s: float) -> None:
        """Settles each `poll_s` seconds, until cancelled; what is under way is waited for."""
        while True:
            await asyncio.sleep(poll_s)
            settling = asyncio.ensure_future(asyncio.to_thread(self._try_to_settle))
            try:
                await asyncio.shield(settling)
            except asyncio.CancelledError:
                await settling
                raise

    def _try_to_settle(self) -> None:
        try:
            self.settle()
        except TandemError as error:
            if str(error) != self._reason:
                LOGGER.error("forgetting failed", extra={"fields": {"reason": type(error).__name__}}, exc_info=error)
            self._reason = str(error)

    def close(self) -> None:
        """Releases the log."""
        with self._lock:
            if self._log is not None:
                self._log.close()

    def _open(self) -> EventLog:
        with self._lock:
            if self._log is None:
                self._log = EventLog(self._workspace.state / LOG_FILE, self._max_waiting)
            return self._log


def _liked(events: Sequence[Event]) -> dict[str, list[str]]:
    """Returns per person what they liked, oldest first; as in training, an item that follows itself counts once."""
    liked: dict[str, list[str]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.timestamp_ms):
        if event.action in POSITIVE_ACTIONS and liked[event.user_id][-1:] != [event.item_id]:
            liked[event.user_id].append(event.item_id)
    return {user_id: items for user_id, items in liked.items() if items}
