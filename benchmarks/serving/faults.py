"""What a long run does to a server while it is asked: other bundles, a restart of its Redis, a killed process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recsys.errors import ConfigError
from recsys.storage.registry import BundleRegistry
from recsys.storage.succession import publish_again
from recsys.storage.workspace import Workspace

REDIS: Final = "redis-server"
_AWAY_S: Final = 2.0
"""How long Redis is away when it is restarted."""

_TIMEOUT_S: Final = 20.0


class Redis:
    """A Redis server on a free port of this machine, killed and started at will; it keeps a file of what it was told.

    Attributes:
      url: The same after each start.
    """

    def __init__(self, folder: Path, *, flushes: str = "everysec") -> None:
        """Starts nothing yet.

        Args:
          folder: Where it keeps its file.
          flushes: When the file is flushed: `always` before it acknowledges, or `everysec`.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._flags = {"port": self.port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "yes"}
        self._flags["appendfsync"] = flushes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers.

        Raises:
          ConfigError: If it does not.
        """
        command = [REDIS, *(str(part) for name, value in self._flags.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + _TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end_s:
                self.stop()
                raise ConfigError(f"Expected {REDIS} to answer on port {self.port}, got nothing.")
            time.sleep(0.02)

    def restart(self) -> None:
        """Kills it, and starts it again after a while.

        Raises:
          ConfigError: If it does not answer.
        """
        self.stop()
        time.sleep(_AWAY_S)
        self.start()

    def stop(self) -> None:
        """Kills it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def start_redis(folder: Path) -> Iterator[Redis | None]:
    """Runs a Redis server, or none where this machine has no such program."""
    if shutil.which(REDIS) is None:
        yield None
        return
    redis = Redis(folder)
    redis.start()
    try:
        yield redis
    finally:
        redis.stop()


def publish_renamed(workspace: Workspace) -> str:
    """Publishes the current bundle under another version; returns the version.

    The files are the same, and another name of what it was trained on makes another version. To a server it is another
    bundle: it checks and loads all of it.

    Raises:
      WorkspaceError: If there is no bundle.
      BundleError: If it is altered.
    """
    registry = BundleRegistry(workspace)
    current = registry.current()
    published = publish_again(registry, current, {}, dataset=f"{current.manifest.dataset}, again")
    return published.manifest.version


def kill_one(workers: Sequence[int]) -> str:
    """Kills the first of several processes.

    Raises:
      ConfigError: If there are fewer than two.
    """
    if len(workers) < 2:
        raise ConfigError(f"Expected at least 2 server processes, one to be killed, got {len(workers)}.")
    os.kill(workers[0], signal.SIGKILL)
    return f"killed one of {len(workers)} processes"


@dataclass
class Timetable:
    """What is done, and when: a thread that does it, and notes it.

    Attributes:
      plan: Seconds from the start, rising, and what is done then; it returns the words for it.
      done: Seconds and words.
      errors: What went wrong.
    """

    plan: Sequence[tuple[float, Callable[[], str]]]
    done: list[tuple[float, str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keeps to the plan during the block, and raises afterwards what went wrong.

        Raises:
          TandemError: Whatever a part of the plan raised.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._keep, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        for error in self.errors:
            raise error

    def _keep(self, over: threading.Event) -> None:
        start_s = time.monotonic()
        for moment_s, act in self.plan:
            if over.wait(max(0.0, start_s + moment_s - time.monotonic())):
                return
            try:
                words = act()
            except (ConfigError, OSError) as error:
                self.errors.append(error)
                return
            self.done.append((moment_s, words))
