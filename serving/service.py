"""What the routes share, and how work leaves the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from serving.archive import Archive
from serving.deployment import Deployment
from serving.histories import ConsentedHistories
from serving.observation import Metrics, Stopwatch, route_of
from serving.workers import Workers

SESSIONS_FILE = "sessions.sqlite"

_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True)
class Service:
    """The parts of one server."""

    settings: ServingSettings
    workers: Workers
    metrics: Metrics
    deployment: Deployment
    archive: Archive
    histories: ConsentedHistories

    @classmethod
    def assemble(cls, workspace: Workspace, settings: ServingSettings) -> Service:
        """Returns a service over a workspace; nothing is loaded yet."""
        workers = Workers(settings.num_threads, settings.max_queued)
        metrics = Metrics(queue_depth=lambda: workers.pending)
        return cls(
            settings=settings,
            workers=workers,
            metrics=metrics,
            deployment=Deployment(workspace, workers, metrics),
            archive=Archive(workspace),
            histories=ConsentedHistories(workspace.state / SESSIONS_FILE, settings.session_length),
        )

    async def compute(self, request: Request, work: Callable[[Stopwatch], _ResultT]) -> _ResultT:
        """Returns what `work` returns, run in a worker thread and timed by stages.

        Raises:
          OverloadError: If too many requests wait.
        """
        stopwatch = Stopwatch()
        submitted = time.perf_counter()

        def start() -> _ResultT:
            stopwatch.laps["queue"] = time.perf_counter() - submitted
            return work(stopwatch)

        try:
            return await self.workers.run(start)
        finally:
            self.metrics.record_stages(route_of(request.scope), stopwatch)

    def close(self) -> None:
        """Ends the threads and releases the files."""
        self.workers.close()
        self.histories.close()


async def service_of(request: Request) -> Service:
    """Returns the service behind a request. A coroutine, for FastAPI would send a plain function to a thread."""
    service: Service = request.app.state.service
    return service


ServiceParameter = Annotated[Service, Depends(service_of)]
