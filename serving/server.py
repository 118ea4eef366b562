"""The server process: socket, signals, log."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from typing import Final

import pyarrow as pa
import uvicorn

from recsys.config.serving import ServingSettings
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from serving.app import create_app
from serving.listener import BACKLOG, listen, url_of
from serving.log import log_configuration
from serving.observation import LOGGER
from serving.protocol import Protocol
from serving.service import Service
from serving.signals import leaving

_ACCEPTED_AT_ONCE: Final = 1
"""Connections that a process takes at once, so that processes on one socket share them. With four at once, one of two
processes took all of a client's 16 in a run out of four, and the other one had nothing to do."""

_COLLECT_AFTER: Final = (50_000, 20, 20)
"""New objects before the youngest are looked at, and rounds of that before older ones are. Requests leave hardly any
cycles behind."""


def serve(workspace: Workspace, settings: ServingSettings, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then lets requests under way end and returns.

    Args:
      workspace: Where bundles are published and sessions kept.
      settings: Address, limits and sizes.
      on_ready: Called once, on the event loop, with the base URL (and the real port), when the first bundle answers.

    Raises:
      WorkspaceError: If nothing was published yet; the message names the command that does.
      ConfigError: If the address cannot be listened on.
    """
    if not workspace.current.exists():
        BundleRegistry(workspace).current()  # raises, and says what to do
    with listen(settings) as listener:
        run(workspace, settings, listener, on_ready)


def run(
    workspace: Workspace,
    settings: ServingSettings,
    listener: socket.socket,
    on_ready: Callable[[str], None] | None = None,
    lifeline: int | None = None,
) -> None:
    """Serves as `serve` does, on a socket that listens already.

    Args:
      workspace: As of `serve`.
      settings: As of `serve`.
      listener: The socket; other processes may accept on it too.
      on_ready: As of `serve`.
      lifeline: A descriptor to read from: at its end the server drains as on SIGTERM.
    """
    _spare_pandas()
    _spare_log_records()
    app = create_app(workspace, settings)
    config = uvicorn.Config(
        app,
        lifespan="on",
        http=Protocol,
        ws="none",
        backlog=_ACCEPTED_AT_ONCE,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=log_configuration(),
        timeout_graceful_shutdown=settings.drain_s,  # type: ignore[arg-type]  # a float does as well
    )
    server = _Server(config, app.state.service, url_of(settings.host, listener), on_ready, listener, lifeline)
    # uvicorn drains on them as well, and then raises the signal once more: whoever runs it would see a killed process.
    with leaving(server.leave):
        server.run(sockets=[listener])
    LOGGER.info("ended")


class _Server(uvicorn.Server):
    """Tells when the first bundle answers."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        url: str,
        on_ready: Callable[[str], None] | None,
        listener: socket.socket,
        lifeline: int | None,
    ) -> None:
        super().__init__(config)
        self._service = service
        self._url = url
        self._on_ready = on_ready
        self._listener = listener
        self._lifeline = lifeline
        self._told = False

    async def on_tick(self, counter: int) -> bool:
        if counter == 0:
            self._settle()
        if not self._told and self._service.deployment.is_ready:
            self._told = True
            _calm_collector()
            LOGGER.info("ready", extra={"fields": {"url": self._url}})
            if self._on_ready is not None:
                self._on_ready(self._url)
        return await super().on_tick(counter)

    def _settle(self) -> None:
        # asyncio lets as few connections wait as it accepts at once.
        self._listener.listen(BACKLOG)
        if self._lifeline is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._lifeline, self._let_go, loop, self._lifeline)

    def _let_go(self, loop: asyncio.AbstractEventLoop, lifeline: int) -> None:
        loop.remove_reader(lifeline)
        self.leave()

    def leave(self) -> None:
        """Lets it drain and end."""
        self.should_exit = True


class _NoPandas(MetaPathFinder):
    """Says that pandas is absent."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not looked for in the server process", name=name)


def _spare_pandas() -> None:
    """Lets pyarrow find no pandas when it first looks for one, and never look again.

    pyarrow imports pandas with the first array, wherever it is installed, for conversions that nobody asks for here:
    a second of start-up and 25 MB. Servers with their own lock have none anyway; a process that has loaded it keeps it.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


def _spare_log_records() -> None:
    """Lets the log not look up for every line what no line tells: thread, process, and task."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _calm_collector() -> None:
    """Lets the garbage collector look at what requests make, not at what is there for good.

    A list of 500 candidates is about as many objects as Python makes between two collections, and every hundredth of
    these walks over all modules and the bundle. Without them such a list is read in 0.6 ms instead of 1.2. What has
    been loaded by now is never looked at again; a bundle that is let go holds no cycles, so that it needs no collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
