"""Rows that are easy to write down, and one small trained workspace for all tests that need models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.dataset import raw_event_schema
from pipelines.ingestion import ingest
from pipelines.job import train
from recsys.config.cloud import CloudSettings, PrepareSettings, RankerSettings, RetrievalSettings
from recsys.config.data import DataSettings, WorldSettings
from recsys.contracts.schema import arrow_schema
from recsys.progress import Silent
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace

TINY_DATA = DataSettings(
    world=WorldSettings(num_users=40, num_items=60, num_streamers=8, num_categories=6, sessions_per_user=8)
)
TINY_CLOUD = CloudSettings(
    prepare=PrepareSettings(num_shards=2),
    retrieval=RetrievalSettings(
        dim=8, history_length=10, num_blocks=1, num_heads=1, num_negatives=16, batch_size=16, max_epochs=1
    ),
    ranker=RankerSettings(num_candidates=10, hidden_units=(8,), num_cross_layers=1, batch_size=16, max_epochs=1),
)


def make_events(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Returns raw events; what a row does not say is a click of `u` on item `a` of the feed at time 0."""
    plain = {"user_id": "u", "item_id": "a", "action": "click", "surface": "feed", "timestamp_ms": 0}
    numbered = [{"event_id": f"e{number}", **plain, **row} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=raw_event_schema())


def make_items(categories: Mapping[str, Sequence[str]]) -> pa.Table:
    """Returns a catalogue of the feed: item id to categories."""
    rows = [
        {"item_id": item_id, "surface": "feed", "title": item_id, "categories": list(labels)}
        for item_id, labels in categories.items()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("item"))


@dataclass(frozen=True)
class Log:
    """A folder with a raw log and a catalogue of the items a, b and c."""

    root: Path
    categories: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"a": ["x"], "b": ["x", "y"], "c": []})

    @property
    def events(self) -> Path:
        return self.root / "events"

    @property
    def items(self) -> Path:
        return self.root / "items.parquet"

    def write(self, *files: pa.Table) -> Log:
        """Writes the catalogue, and each table as one file of the log."""
        self.events.mkdir(parents=True, exist_ok=True)
        pq.write_table(make_items(self.categories), self.items)
        for number, table in enumerate(files):
            pq.write_table(table, self.events / f"part-{number:04d}.parquet")
        return self


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture
def worker_command(tmp_path: Path) -> Path:
    """A command where a cluster's workers are looked for."""
    path = tmp_path / "worker"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An ingested workspace; only `trained` adds to it."""
    workspace = Workspace(tmp_path_factory.mktemp("tiny"))
    ingest(workspace, "synthetic", TINY_DATA, 1)
    return workspace


@pytest.fixture(scope="session")
def trained(tiny_workspace: Workspace) -> Bundle:
    """The bundle of a whole run of the job on `tiny_workspace`."""
    return train(tiny_workspace, TINY_CLOUD, 7, Silent())


@pytest.fixture(scope="session")
def examples_dir(tiny_workspace: Workspace, trained: Bundle) -> Path:
    """The prepared examples behind `trained`."""
    (folder,) = (path for path in tiny_workspace.examples.iterdir() if path.is_dir())
    return folder
