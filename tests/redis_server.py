"""A real Redis on a free port of this machine, for the tests of those who keep something there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.serving.faults import REDIS, Redis


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which(REDIS) is None:
        pytest.skip("There is no redis-server on this machine: apt-get install redis-server.")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="session")
def redis_url(redis_folder: Path) -> Iterator[str]:
    """A server that all tests share; they differ by their keys."""
    server = Redis(redis_folder, flushes="always")
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def own_redis(redis_folder: Path, tmp_path: Path) -> Iterator[Redis]:
    """A server that the test may stop."""
    (tmp_path / "redis").mkdir()
    server = Redis(tmp_path / "redis", flushes="always")
    server.start()
    yield server
    server.stop()
