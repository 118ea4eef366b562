"""The application: routes, errors, limits and the life of what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from serving.access import Access, read_grants
from serving.body_limit import BodyLimit
from serving.documentation import Documentation
from serving.observation import Observer
from serving.problems import install_problems
from serving.routes import bundle, embeddings, feed, health, people, reference
from serving.routes.console import install_console
from serving.service import Service
from serving.shortcuts import Shortcuts

API_VERSION = "1"
_NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Where a process has a tracer, FastAPI traces by itself: paths and queries, with the ids of people in them.
`telemetry` sends our own."""


def create_app(workspace: Workspace, settings: ServingSettings) -> FastAPI:
    """Returns the application over a workspace; the bundle is loaded when it starts.

    An application lives once: after its shutdown make another one. Without a bundle that passes its checks it starts
    all the same, answers `/healthz`, tells the reason at `/readyz`, and serves as soon as there is one.

    Args:
      workspace: Where bundles are published and sessions kept.
      settings: Limits and sizes.

    Raises:
      ConfigError: If the file of keys is wrong, or traces are asked for without the packages that send them.
    """
    service = Service.assemble(workspace, settings)
    app = FastAPI(
        title="Tandem",
        version=API_VERSION,
        lifespan=_live,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    app.state.service = service
    install_problems(app)
    app.add_middleware(Shortcuts, shortcuts=feed.SHORTCUTS, service=service)
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    if settings.keys_file:
        app.add_middleware(Access, grants=read_grants(Path(settings.keys_file)))
    app.add_middleware(Observer, metrics=service.metrics, telemetry=service.telemetry)
    for part in (feed, people, embeddings, bundle, health, reference):
        app.include_router(part.router)
    install_console(app, workspace)
    documentation = Documentation(app, service.deployment, settings)
    app.openapi = documentation.render  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _live(app: FastAPI) -> AsyncIterator[None]:
    """Loads the bundle before the first request, watches for another one, and closes all at the end."""
    service: Service = app.state.service
    await service.deployment.follow()
    watches = [asyncio.create_task(part.watch(service.settings.poll_s)) for part in (service.deployment, service.inbox)]
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        service.close()
