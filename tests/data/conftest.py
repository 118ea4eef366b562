"""Small worlds, the real data where it is, and rows that are easy to write down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from data.dataset import Dataset, raw_event_schema
from data.registry import read_dataset
from recsys.config.data import DataSettings, WorldSettings

TINY_WORLD = WorldSettings(num_users=40, num_items=60, num_streamers=8, num_categories=6, sessions_per_user=8)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tiny_settings() -> DataSettings:
    return DataSettings(world=TINY_WORLD)


@pytest.fixture(scope="session")
def tiny_world(tiny_settings: DataSettings) -> Dataset:
    return read_dataset("synthetic", None, tiny_settings, seed=1)


@pytest.fixture(scope="session")
def default_world() -> Dataset:
    return read_dataset("synthetic", None, DataSettings(), seed=1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets."""
    folder = Path(os.environ.get("TANDEM_DATA") or REPOSITORY.parent / "shared" / "datasets")
    if not folder.is_dir():
        pytest.skip("the real datasets are absent: set TANDEM_DATA to their folder")
    return folder


def make_events(rows: list[Mapping[str, object]]) -> pa.Table:
    """Returns raw events; what a row does not say is a click on item `a` of the feed at time 0."""
    plain = {"event_id": "e", "user_id": "u", "item_id": "a", "action": "click", "surface": "feed", "timestamp_ms": 0}
    return pa.Table.from_pylist([{**plain, **row} for row in rows], schema=raw_event_schema())
