"""What is served is counted over the whole log, what is learned from is not."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.statistics.recount import recount
from recsys.config.cloud import StatisticsSettings
from tests.pipelines.statistics.test_job import SETTINGS, count, rows_of
from tests.pipelines.training.conftest import write_events, write_vocabulary


def write_late_pair(folder: Path) -> Path:
    """One person chose 1, 2 and, in the validation period, was shown 3 and chose it."""
    rows = [("u", 1, "click", 0, 0), ("u", 2, "click", 0, 0), ("u", 3, "impression", 0, 1), ("u", 3, "click", 0, 1)]
    return write_events(write_vocabulary(folder), rows)


def test_the_validation_period_counts(tmp_path: Path) -> None:
    examples, served = write_late_pair(tmp_path / "examples"), tmp_path / "served"
    served.mkdir()
    recount(examples, served, SETTINGS)
    made = sorted(path.name for path in served.iterdir())
    assert made == ["item_to_item.parquet", "report.json", "vocabulary.parquet"]
    assert rows_of(served / "item_to_item.parquet", "transitions") == {1: {2: 1.0, 3: 0.5}, 2: {3: 1.0}}
    assert rows_of(count(examples, tmp_path / "learned"), "transitions") == {1: {2: 1.0}}
    table = pq.read_table(served / "vocabulary.parquet").slice(0, 4)
    assert table.column("num_positives").to_pylist() == [1, 1, 1, 0]
    assert table.column("num_impressions").to_pylist() == [0, 0, 1, 0]
    assert table.column("num_recent").to_pylist() == [0, 0, 1, 0], "of the last tenth of the whole time"
    assert set(json.loads((served / "report.json").read_text())["steps"]) >= {"count items", "count pairs"}


def test_all_but_the_counts_is_as_the_models_learned_it(tmp_path: Path) -> None:
    examples, served = write_late_pair(tmp_path / "examples"), tmp_path / "served"
    served.mkdir()
    recount(examples, served, StatisticsSettings())
    before, after = (pq.read_table(folder / "vocabulary.parquet") for folder in (examples, served))
    counts = ["num_impressions", "num_positives", "num_recent"]
    assert after.drop_columns(counts).equals(before.drop_columns(counts))
    assert after.schema.equals(before.schema, check_metadata=True)
