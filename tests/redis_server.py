"""A real Redis on a free port of this machine, for the tests of those who keep something there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class RedisServer:
    """A server that tests may stop and start again; it keeps what it acknowledged, as its file is flushed each time."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        flags = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "yes"}
        command = ["redis-server", *(str(part) for name, value in flags.items() for part in (f"--{name}", value))]
        command += ["--appendfsync", "always"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
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


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("redis-server") is None:
        pytest.skip("There is no redis-server on this machine: apt-get install redis-server.")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="session")
def redis_url(redis_folder: Path) -> Iterator[str]:
    """A server that all tests share; they differ by their keys."""
    server = RedisServer(redis_folder)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def own_redis(redis_folder: Path, tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop."""
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()
