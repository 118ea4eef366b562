"""What the routes share, and how work leaves the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Request

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError
from recsys.index.faiss_rows import use_threads
from recsys.storage.workspace import SESSIONS_FILE, Workspace
from serving.archive import Archive
from serving.batches import Batches
from serving.deadline import missed, seconds_left
from serving.deployment import Deployment
from serving.engine import Engine, Listed, Ranked
from serving.histories import ConsentedHistories
from serving.inbox import Inbox
from serving.observation import Metrics, Stopwatch, keep_stages, route_of
from serving.workers import Workers

if TYPE_CHECKING:  # which only a server that is told of a collector imports
    from serving.telemetry import Telemetry

_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True)
class Service:
    """The parts of one server."""

    settings: ServingSettings
    batches: Batches[Listed, Ranked]
    workers: Workers
    metrics: Metrics
    deployment: Deployment
    archive: Archive
    histories: ConsentedHistories
    inbox: Inbox
    writers: Workers
    telemetry: Telemetry | None

    @classmethod
    def assemble(cls, workspace: Workspace, settings: ServingSettings) -> Service:
        """Returns a service over a workspace; nothing is loaded yet.

        Raises:
          ConfigError: If traces are asked for and the packages that send them are absent.
        """
        # Requests run beside each other; FAISS's own threads would only get in their way.
        workers = Workers(settings.num_threads, settings.max_queued, prepare=partial(use_threads, 1))
        metrics = Metrics(queue_depth=lambda: batches.waiting + workers.pending)
        batches: Batches[Listed, Ranked] = Batches(settings.max_queued, metrics.record_batch)
        path = workspace.state / SESSIONS_FILE
        histories = ConsentedHistories(path, settings.session_length, settings.session_ttl_s, settings.redis_url)
        return cls(
            settings=settings,
            batches=batches,
            workers=workers,
            metrics=metrics,
            deployment=Deployment(workspace, workers, metrics),
            archive=Archive(workspace, metrics),
            histories=histories,
            inbox=Inbox(workspace, histories, settings.max_waiting_events),
            writers=Workers(1, settings.max_queued),
            telemetry=_telemetry(settings.traces_endpoint),
        )

    async def compute(self, request: Request, work: Callable[[Stopwatch], _ResultT]) -> _ResultT:
        """Returns what `work` returns, run in a worker thread and timed by stages.

        Args:
          request: Whose work it is.
          work: Told where to leave its times.

        Raises:
          OverloadError: If too many requests wait.
          DeadlineError: If the client's own deadline passes first; work that has not begun then is dropped.
        """
        stopwatch, left_s = Stopwatch(), seconds_left(request)
        begin = _beginning(left_s, stopwatch)

        def start() -> _ResultT:
            begin()
            return work(stopwatch)

        try:
            return await _within(left_s, self.workers.run(start))
        finally:
            self._record(request, stopwatch)

    async def rerank(self, request: Request, engine: Engine, given: Listed) -> Ranked:
        """Returns a list's new order, found on the event loop beside others that wait (see `batches`).

        Args:
          request: Whose list it is.
          engine: The bundle that answers.
          given: The list.

        Raises:
          OverloadError: If too many requests wait.
          DeadlineError: If the client's own deadline passes before it is this list's turn.
          ContractError: If scores overflow.
        """
        stopwatch = Stopwatch()
        begin = _beginning(seconds_left(request), stopwatch)
        try:
            return await self.batches.run(given, len(given.item_ids), engine.rerank_batch, begin, stopwatch)
        finally:
            self._record(request, stopwatch)

    async def write(self, request: Request, work: Callable[[], _ResultT]) -> _ResultT:
        """Returns what `work` returns, run in the thread that waits for the disk: models never wait behind it.

        Raises:
          OverloadError: If too many requests wait.
        """
        stopwatch = Stopwatch()
        try:
            with stopwatch.stage("write"):
                return await self.writers.run(work)
        finally:
            self._record(request, stopwatch)

    def _record(self, request: Request, stopwatch: Stopwatch) -> None:
        self.metrics.record_stages(route_of(request.scope), stopwatch)
        if self.telemetry is not None:
            keep_stages(request.scope, stopwatch)

    def close(self) -> None:
        """Ends the threads and releases the files."""
        self.workers.close()
        self.writers.close()
        self.inbox.close()
        self.histories.close()
        if self.telemetry is not None:
            self.telemetry.close()


def _telemetry(endpoint: str) -> Telemetry | None:
    if not endpoint:
        return None
    try:
        from serving.telemetry import Telemetry
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Expected the packages that send traces to `traces_endpoint`, got none: {error}. Install the extra "
            "`telemetry`, or leave the setting empty."
        ) from error
    return Telemetry(endpoint)


def _beginning(left_s: float | None, stopwatch: Stopwatch) -> Callable[[], None]:
    """Returns what ends a wait that begins now; it raises DeadlineError where the wait was too long."""
    submitted = time.perf_counter()

    def begin() -> None:
        waited_s = stopwatch.add("queue", submitted)
        if left_s is not None and waited_s >= left_s:
            raise missed()

    return begin


async def _within(left_s: float | None, work: Coroutine[Any, Any, _ResultT]) -> _ResultT:
    """Returns what `work` returns.

    Raises:
      DeadlineError: If it does not within `left_s` seconds.
    """
    if left_s is None:
        return await work
    try:
        return await asyncio.wait_for(work, max(left_s, 0.0))
    except TimeoutError as error:
        raise missed() from error


async def service_of(request: Request) -> Service:
    """Returns the service behind a request. A coroutine, for FastAPI would send a plain function to a thread."""
    service: Service = request.app.state.service
    return service


ServiceParameter = Annotated[Service, Depends(service_of)]
