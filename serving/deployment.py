"""Which bundle is served: loaded at the start, exchanged when another one is published.

A request takes the engine once and keeps it to its end, so that an exchange is one assignment: whoever has begun ends
with the old bundle, whoever comes next gets the new one, and the old one goes when its last request has ended.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from recsys.errors import TandemError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from serving.batches import MAX_BATCH
from serving.engine import Engine
from serving.memory import give_back
from serving.observation import LOGGER, Metrics
from serving.problems import NotReadyError
from serving.workers import Workers

RETRY_S: Final = 30.0
"""How long a refused bundle is left alone; another one published meanwhile is tried at once."""

_REFUSALS: Final = (TandemError, OSError, ValueError, KeyError, RuntimeError)
"""What a bundle that cannot be served is known by; ValueError, KeyError and RuntimeError come out of the libraries
that read its files."""

SETTLE_S: Final = 10.0
"""From an exchange until freed memory is given back: by then the old bundle has gone, and nobody waits any more."""

MAX_SWAPS: Final = 50
"""How many loads and refusals are remembered."""


@dataclass(frozen=True)
class Swap:
    """What became of a bundle that was found: `served` from then on, or `refused` for a reason."""

    at_ms: int
    version: str | None
    outcome: str
    reason: str


class Deployment:
    """The served engine and the watch over the workspace's pointer."""

    def __init__(self, workspace: Workspace, workers: Workers, metrics: Metrics) -> None:
        """Serves nothing yet; see `refresh`.

        Args:
          workspace: Where bundles are published.
          workers: Threads that will call the engine, warmed before it is served.
          metrics: Told what became of each bundle.
        """
        self._workspace = workspace
        self._registry = BundleRegistry(workspace)
        self._workers = workers
        self._metrics = metrics
        self._engine: Engine | None = None
        self._served: str | None = None
        self._refused: str | None = None
        self._retry_at = 0.0  # at first everything is tried, an absent pointer too
        self.reason = "No bundle was looked for yet."
        self.swaps: deque[Swap] = deque(maxlen=MAX_SWAPS)

    @property
    def engine(self) -> Engine:
        """The engine to answer a request with, to its end.

        Raises:
          NotReadyError: If there is none; `reason` tells why.
        """
        if self._engine is None:
            raise NotReadyError("Expected a loaded bundle, got none yet. /readyz tells why; try again later.")
        return self._engine

    @property
    def is_ready(self) -> bool:
        """Whether there is an engine."""
        return self._engine is not None

    def refresh(self) -> bool:
        """Serves the current bundle, if it is another one than before and passes; else all stays as it is.

        Blocks while it loads. Not to be called twice at once.

        Returns:
          Whether another bundle is served now.
        """
        pointer = self._read_pointer()
        if pointer is not None and pointer == self._served:
            return False
        if pointer == self._refused and time.monotonic() < self._retry_at:
            return False
        try:
            engine = Engine.load(self._registry.current())
            self._workers.warm(engine.warm)
        except _REFUSALS as error:
            self._refuse(pointer, error)
            return False
        self._serve(pointer, engine)
        return True

    async def watch(self, poll_s: float) -> None:
        """Refreshes each `poll_s` seconds, until cancelled; a load under way is waited for."""
        give_back_at = math.inf
        while True:
            await asyncio.sleep(poll_s)
            if await self.follow():
                give_back_at = time.monotonic() + SETTLE_S
            elif time.monotonic() >= give_back_at:
                give_back_at = math.inf
                await asyncio.to_thread(give_back)

    async def follow(self) -> bool:
        """Refreshes off the event loop, and gets the loop's own thread ready for what is served then.

        Returns:
          Whether another bundle is served now.
        """
        load = asyncio.ensure_future(asyncio.to_thread(self.refresh))
        try:
            is_new = await asyncio.shield(load)
        except asyncio.CancelledError:
            await load
            raise
        if is_new:
            for size in range(1, MAX_BATCH + 1):
                self.engine.warm_towers(size)
                await asyncio.sleep(0)  # some milliseconds each: requests go between
        return is_new

    def _read_pointer(self) -> str | None:
        """Returns what the pointer says; None where there is none, or it cannot be read."""
        try:
            return self._workspace.current.read_bytes().decode("ascii", errors="replace")
        except OSError:
            return None

    def _serve(self, pointer: str | None, engine: Engine) -> None:
        manifest = engine.manifest
        self._engine, self._served, self._refused, self.reason = engine, pointer, None, ""
        self._remember(manifest.version, "served", "")
        self._metrics.record_served(manifest.version, manifest.embedding_version)
        LOGGER.info("bundle served", extra={"fields": {"bundle_version": manifest.version}})

    def _refuse(self, pointer: str | None, error: Exception) -> None:
        """Notes why the bundle cannot be served; the one served before goes on."""
        version = None if pointer is None else pointer.strip()
        reason = str(error) if isinstance(error, TandemError) else f"{type(error).__name__} while loading {version}."
        if pointer is not None:
            self._metrics.record_refused()
        if reason != self.reason:
            self._remember(version, "refused", reason)
            served = None if self._engine is None else self._engine.manifest.version
            fields = {"refused_version": version, "bundle_version": served, "reason": reason}
            LOGGER.error("bundle refused", extra={"fields": fields}, exc_info=_unexpected(error))
        self._refused, self._retry_at, self.reason = pointer, time.monotonic() + RETRY_S, reason

    def _remember(self, version: str | None, outcome: str, reason: str) -> None:
        self.swaps.append(Swap(time.time_ns() // 1_000_000, version, outcome, reason))


def _unexpected(error: Exception) -> Exception | None:
    """The error where only its trace tells what happened; Tandem's own messages say it themselves."""
    return None if isinstance(error, TandemError) else error
