"""The application over a small real bundle."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from recsys.config.serving import ServingSettings
from recsys.contracts.bundle import ROOMS_FILE
from recsys.contracts.catalogue import Room
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.workspace import Workspace
from serving.app import create_app
from serving.engine import Engine
from tests.bundles import bundled_workspace, own_workspace

__all__ = ["bundled_workspace", "own_workspace"]


@pytest.fixture(scope="session")
def bundle(bundled_workspace: Workspace) -> Bundle:
    return BundleRegistry(bundled_workspace).current()


@pytest.fixture(scope="session")
def engine(bundle: Bundle) -> Engine:
    return Engine.load(bundle)


@pytest.fixture(scope="session")
def rooms(bundle: Bundle) -> list[Room]:
    table = pq.read_table(io.BytesIO(bundle.read_bytes(ROOMS_FILE)))
    return [Room(**row) for row in table.to_pylist()]


@pytest.fixture(scope="session")
def client(bundled_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application with default settings; shared, so no test may change what it serves."""
    root = tmp_path_factory.mktemp("served") / "workspace"  # a copy: events are written to it
    shutil.copytree(bundled_workspace.root, root)
    with start(Workspace(root)) as started:
        yield started


@pytest.fixture(scope="session")
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def start(workspace: Workspace, **settings: Any) -> TestClient:
    """Returns a client of a new application; enter it to start."""
    return TestClient(create_app(workspace, ServingSettings(**settings)), raise_server_exceptions=False)


def problem_of(response: Any, status: int) -> dict[str, Any]:
    """Returns the problem after checking that it is one, of this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    return problem


def metric(client: TestClient, name: str) -> float:
    """Returns a sample of /metrics by its full name, labels included; 0 where it is absent."""
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0
