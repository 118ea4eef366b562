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
from recsys.storage.workspace import Workspace

REDIS: Final = "redis-server"
_AWAY_S: Final = 2.0
"""How long Redis is away when it is restarted."""

_TIMEOUT_S: Final = 20.0


class Redis:
    """A Redis server on a free port of this machine; it keeps on the disk what it acknowledged."""

    def __init__(self, folder: Path) -> None:
        """Starts it.

        Args:
          folder: Where it keeps its file.

        Raises:
          ConfigError: If it does not answer.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._folder = folder
        self._process = self._start()

    def restart(self) -> None:
        """Kills it, and starts it again after a while.

        Raises:
          ConfigError: If it does not answer.
        """
        self.stop()
        time.sleep(_AWAY_S)
        self._process = self._start()

    def stop(self) -> None:
        """Kills it."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        flags = {"port": self._port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "yes"}
        command = [REDIS, *(str(part) for name, value in flags.items() for part in (f"--{name}", value))]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + _TIMEOUT_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > end_s:
                process.kill()
                raise ConfigError(f"Expected {REDIS} to answer on port {self._port}, got nothing.")
            time.sleep(0.02)
        return process

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
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
    try:
        yield redis
    finally:
        redis.stop()


def publish_again(workspace: Workspace) -> str:
    """Publishes the current bundle under another version; returns the version.

    The files are the same, and another name of what it was trained on makes another version. To a server it is another
    bundle: it checks and loads all of it.

    Raises:
      WorkspaceError: If there is no bundle.
      BundleError: If it is altered.
    """
    registry = BundleRegistry(workspace)
    current = registry.current()
    manifest = current.manifest
    published = registry.publish(
        {name: current.path(name) for name in manifest.files},
        dataset=f"{manifest.dataset}, again",
        split_fingerprint=manifest.split_fingerprint,
        embedding_version=manifest.embedding_version,
        dim=manifest.dim,
        history_length=manifest.history_length,
        num_items=manifest.num_items,
        num_recent=manifest.num_recent,
    )
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
