"""Several server processes on one socket, and the parent that owns their lives.

Python runs one thread at a time, so that more cores need more processes. The parent listens and answers nothing: it
starts the others, starts anew those that end, and on SIGTERM or Ctrl-C lets all of them drain. They share the socket:
a connection that nobody has accepted yet is lost with none of them.

Each of them holds the read end of a pipe, its stdin. Should the parent end in whatever way, SIGKILL too, they see the
pipe's end and drain as well: none is left behind.
"""

from __future__ import annotations

import json
import logging.config
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from serving.listener import listen, url_of
from serving.log import log_configuration
from serving.observation import LOGGER, SHARED
from serving.signals import leaving

_ROOT: Final = Path(__file__).resolve().parents[1]
_POLL_S: Final = 0.05
_GRACE_S: Final = 5.0
"""What draining may take beyond `drain_s`; who is there still is killed."""

_STEADY_S: Final = 10.0
"""Whoever lived so long is replaced at once; before that, after a pause that doubles up to the longest."""

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0


def serve_by_many(
    workspace: Workspace, settings: ServingSettings, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serves in `num_workers` processes until SIGTERM or SIGINT, then lets requests under way end and returns.

    Args:
      workspace: Where bundles are published and sessions kept.
      settings: Address, limits and sizes; limits are each process's own.
      on_ready: Called once with the base URL when all of them answer.

    Raises:
      WorkspaceError: If nothing was published yet; the message names the command that does.
      ConfigError: If the address cannot be listened on, there is no temporary folder, or a process ends before it is
        ready for the first time.
    """
    if not workspace.current.exists():
        BundleRegistry(workspace).current()  # raises, and says what to do
    logging.config.dictConfig(log_configuration())
    with listen(settings) as listener, _make_folder() as metrics:
        crew = Crew(workspace, settings, listener, Path(metrics))
        with leaving(crew.leave):
            crew.run(on_ready)
    LOGGER.info("ended")


def _make_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="tandem-metrics-")
    except OSError as error:
        raise ConfigError(
            "Expected a temporary folder that can be written, in which server processes add up what they count, got: "
            f"{error.strerror or error}. Set TMPDIR to one, or serve with one process."
        ) from error


@dataclass
class _Member:
    """A place in the crew, and who holds it."""

    number: int
    process: subprocess.Popen[bytes]
    begun_s: float
    pause_s: float
    """How long the next one waits, should this one end early."""
    is_ready: bool = False
    ended_s: float | None = None


class Crew:
    """The processes of one server."""

    def __init__(self, workspace: Workspace, settings: ServingSettings, listener: socket.socket, metrics: Path) -> None:
        """Starts nothing yet.

        Args:
          workspace: Served by all.
          settings: Of each.
          listener: The socket that all accept on.
          metrics: A folder for what they count.
        """
        self._workspace, self._settings, self._listener, self._metrics = workspace, settings, listener, metrics
        self._leaving = threading.Event()
        self._members: list[_Member] = []

    def leave(self) -> None:
        """Lets `run` end."""
        self._leaving.set()

    def run(self, on_ready: Callable[[str], None] | None) -> None:
        """Keeps all places filled until `leave`, then drains.

        Raises:
          ConfigError: If a process ends before all have been ready.
        """
        try:
            self._members = [self._start(number, 0.0) for number in range(self._settings.num_workers)]
            if self._await_ready() and on_ready is not None:
                on_ready(url_of(self._settings.host, self._listener))
            while not self._leaving.wait(_POLL_S):
                self._members = [self._tend(member) for member in self._members]
        finally:
            self._drain()

    def _start(self, number: int, pause_s: float) -> _Member:
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._listener.fileno()],
            env={**os.environ, "PYTHONPATH": path, SHARED: str(self._metrics)},
        )
        told = {
            "workspace": str(self._workspace.root.absolute()),
            "settings": self._settings.model_dump(mode="json"),
            "listener": self._listener.fileno(),
        }
        if process.stdin is None or process.stdout is None:
            raise ConfigError("Expected pipes to a server process, got none.")
        with suppress(BrokenPipeError):  # it has ended already, which the next look at it tells
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        os.set_blocking(process.stdout.fileno(), False)
        return _Member(number, process, time.monotonic(), pause_s)

    def _await_ready(self) -> bool:
        """Returns once all are ready, or False once all are to leave."""
        while not all(_is_ready(member) for member in self._members):
            for member in self._members:
                if member.process.poll() is not None:
                    raise ConfigError(
                        f"Expected {len(self._members)} server processes that get ready, got one that ended with code "
                        f"{member.process.returncode}. The log tells why; try with one process."
                    )
            if self._leaving.wait(_POLL_S):
                return False
        return True

    def _tend(self, member: _Member) -> _Member:
        """Returns who holds the place now: the same, or another where that one has ended and the pause is over."""
        if member.process.poll() is None:
            return member
        now_s = time.monotonic()
        if member.ended_s is None:
            member.ended_s = now_s
            self._bury(member)
        is_steady = member.ended_s - member.begun_s >= _STEADY_S
        if not is_steady and now_s - member.ended_s < member.pause_s:
            return member
        pause_s = _FIRST_PAUSE_S if is_steady else min(max(2 * member.pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        return self._start(member.number, pause_s)

    def _bury(self, member: _Member) -> None:
        """Closes the pipes of a process that has ended, and takes it out of the metrics of those that live."""
        for pipe in (member.process.stdin, member.process.stdout):
            if pipe is not None:
                pipe.close()
        mark_process_dead(member.process.pid, str(self._metrics))
        fields = {"worker": member.number, "code": member.process.returncode}
        LOGGER.error("worker ended", extra={"fields": fields})

    def _drain(self) -> None:
        processes = [member.process for member in self._members]
        for process in processes:
            process.terminate()
        end_s = time.monotonic() + self._settings.drain_s + _GRACE_S
        for process in processes:
            try:
                process.wait(max(0.0, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(member: _Member) -> bool:
    if not member.is_ready and member.process.stdout is not None:
        member.is_ready = bool(member.process.stdout.read())
    return member.is_ready
