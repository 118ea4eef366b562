"""A Flink cluster for the tests of this folder; `make test-cluster` fetches its jars and says where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.flink import FlinkCluster


@pytest.fixture(scope="session")
def jars() -> Path:
    """The folder of `make flink-jars`."""
    if "TANDEM_FLINK" not in os.environ:
        pytest.skip("needs the jars of Flink: run `make test-cluster`")
    return Path(os.environ["TANDEM_FLINK"])


@pytest.fixture
def cluster(jars: Path, tmp_path: Path) -> Iterator[FlinkCluster]:
    """A cluster with two task managers, each of which could carry a job alone."""
    with FlinkCluster(jars / "lib", tmp_path / "cluster") as cluster:
        yield cluster
