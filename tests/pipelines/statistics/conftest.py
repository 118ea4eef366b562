"""Prepared examples of two people, with counts that can be done on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.prepare.examples import EXAMPLE_SCHEMA
from recsys.contracts.events import ACTION_CODES
from recsys.features.catalogue import VOCABULARY_SCHEMA

Row = tuple[str, int, str, int]
"""User, item index, action, period."""


def write_examples(folder: Path, parts: Sequence[Sequence[Row]], num_items: int) -> Path:
    """Writes a prepared folder; the rows of a part stand by user and time."""
    (folder / "events").mkdir(parents=True)
    for number, rows in enumerate(parts):
        columns = {
            "event_id": [f"{number}-{row}" for row in range(len(rows))],
            "user_id": [row[0] for row in rows],
            "item_index": [row[1] for row in rows],
            "action": [ACTION_CODES[row[2]] for row in rows],
            "surface": [0] * len(rows),
            "value": [None] * len(rows),
            "timestamp_ms": list(range(len(rows))),
            "position": [None] * len(rows),
            "period": [row[3] for row in rows],
        }
        pq.write_table(pa.table(columns, schema=EXAMPLE_SCHEMA), folder / "events" / f"part-{number:05d}.parquet")
    item = {"surface": 0, "category_indexes": [], "num_impressions": 0, "num_positives": 0, "num_recent": 0}
    rows = [{"item_id": f"i{index}", **item} for index in range(1, num_items + 1)]
    schema = VOCABULARY_SCHEMA.with_metadata({"num_categories": "0"})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "vocabulary.parquet")
    return folder


@pytest.fixture
def two_people(tmp_path: Path) -> Path:
    """`u` chose 1, 2, 3 and then, in the validation period, 4; `v` chose 1 and 3. Item 5 was only shown."""
    u = [("u", 1, "click", 0), ("u", 1, "like", 0), ("u", 5, "impression", 0), ("u", 2, "click", 0)]
    u += [("u", 3, "click", 0), ("u", 4, "click", 1)]
    v = [("v", 1, "rating", 0), ("v", 3, "click", 0)]
    return write_examples(tmp_path / "examples", [u, v], num_items=5)
