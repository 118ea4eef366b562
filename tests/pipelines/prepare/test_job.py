from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipelines.prepare.job import prepare
from recsys.config.cloud import PrepareSettings
from recsys.errors import DatasetError, WorkspaceError
from tests.pipelines.conftest import Log, make_events

FIGURES = ("rows_in", "accepted", "duplicates", "train", "validation", "users", "items")
FOLDERS = ("events", "dead_letters", "duplicates")


def run(log: Log, output_dir: Path, **changes: Any) -> dict[str, Any]:
    output_dir.mkdir()
    return prepare(log.events, log.items, output_dir, PrepareSettings(**{"num_shards": 2, **changes}))


def read(output_dir: Path, folder: str) -> list[dict[str, Any]]:
    files = sorted((output_dir / folder).glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []


def make_messy_log(seed: int, num_rows: int = 400) -> list[pa.Table]:
    """Three files of rows, of which many are copies under another time or user, and some unlawful."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "event_id": f"e{rng.integers(num_rows)}",
            "user_id": f"u{rng.integers(12)}",
            "item_id": rng.choice(["a", "b", "c", "unknown"], p=[0.4, 0.3, 0.25, 0.05]),
            "action": rng.choice(["impression", "click", "like", "stare"], p=[0.5, 0.3, 0.15, 0.05]),
            "timestamp_ms": int(rng.integers(-5, 1000)),
        }
        for _ in range(num_rows)
    ]
    table = make_events(rows)
    return [table.slice(0, 150), table.slice(150, 1), table.slice(151)]


def test_a_small_log_becomes_examples_duplicates_dead_letters_and_a_vocabulary(log: Log, tmp_path: Path) -> None:
    first = make_events(
        [
            {"event_id": "e1", "item_id": "b", "action": "impression", "timestamp_ms": 10},
            {"event_id": "e2", "item_id": "b", "action": "click", "timestamp_ms": 20},
            {"event_id": "e3", "item_id": "a", "action": "like", "timestamp_ms": 110},
            {"event_id": "e4", "item_id": "z", "timestamp_ms": 120},
        ]
    )
    second = make_events(
        [
            {"event_id": "e2", "user_id": "thief", "item_id": "c", "timestamp_ms": 30},
            {"event_id": "e5", "item_id": "a", "action": "rating", "value": 5.0, "timestamp_ms": 200},
            {"event_id": "e6", "item_id": "a", "action": "stare"},
        ]
    )
    report = run(log.write(first, second), tmp_path / "out")
    examples = sorted(read(tmp_path / "out", "events"), key=lambda row: row["event_id"])
    assert [(row["event_id"], row["item_index"], row["action"], row["period"]) for row in examples] == [
        ("e1", 2, 0, 0),
        ("e2", 2, 1, 0),
        ("e3", 1, 3, 0),
        ("e5", 1, 8, 1),
    ]
    (duplicate,) = read(tmp_path / "out", "duplicates")
    assert (duplicate["event_id"], duplicate["user_id"]) == ("e2", "thief")
    letters = {row["event_id"]: row["reason"] for row in read(tmp_path / "out", "dead_letters")}
    assert letters["e4"] == "unknown item: expected one of the catalogue"
    assert letters["e6"].startswith("action: expected one of impression, click")
    vocabulary = pq.read_table(tmp_path / "out" / "vocabulary.parquet")
    counts = vocabulary.select(["item_id", "num_impressions", "num_positives", "num_recent"]).to_pydict()
    assert counts == {
        "item_id": ["a", "b", "c"],
        "num_impressions": [0, 1, 0],
        "num_positives": [1, 1, 0],
        "num_recent": [1, 0, 0],
    }
    assert vocabulary.schema.metadata == {b"num_categories": b"2"}
    figures = {name: report[name] for name in report if name in FIGURES}
    assert figures == {
        "rows_in": 7,
        "accepted": 4,
        "duplicates": 1,
        "train": 3,
        "validation": 1,
        "users": 1,
        "items": 3,
    }
    assert report["dead_letters"] == dict.fromkeys(letters.values(), 1)
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["dead_letters", "duplicates", "events", "report.json", "responses.parquet", "vocabulary.parquet"]


@pytest.mark.parametrize("seed", [0, 1])
def test_every_row_leaves_exactly_once_and_every_event_id_is_accepted_once(log: Log, tmp_path: Path, seed: int) -> None:
    files = make_messy_log(seed)
    report = run(log.write(*files), tmp_path / "out", batch_rows=64)
    out = {folder: read(tmp_path / "out", folder) for folder in FOLDERS}
    assert report["rows_in"] == sum(table.num_rows for table in files) == sum(map(len, out.values()))
    assert report["rows_in"] == report["accepted"] + report["duplicates"] + sum(report["dead_letters"].values())
    accepted = [row["event_id"] for row in out["events"]]
    assert len(set(accepted)) == len(accepted) == report["accepted"]
    assert {row["event_id"] for row in out["duplicates"]} <= set(accepted)
    left = sorted((row["event_id"], row["timestamp_ms"]) for rows in out.values() for row in rows)
    entered = pa.concat_tables(files).select(["event_id", "timestamp_ms"]).to_pylist()
    assert left == sorted((row["event_id"], row["timestamp_ms"]) for row in entered)
    earliest: dict[str, int] = {}
    for row in out["duplicates"]:
        earliest[row["event_id"]] = min(row["timestamp_ms"], earliest.get(row["event_id"], row["timestamp_ms"]))
    times = {row["event_id"]: row["timestamp_ms"] for row in out["events"]}
    assert all(times[event_id] <= time for event_id, time in earliest.items())


def test_parts_are_ordered_and_a_user_lies_in_one(log: Log, tmp_path: Path) -> None:
    run(log.write(*make_messy_log(3)), tmp_path / "out", num_shards=4)
    owners: list[str] = []
    for file in sorted((tmp_path / "out" / "events").iterdir()):
        rows = pq.read_table(file).to_pylist()
        keys = [(row["user_id"], row["timestamp_ms"], row["event_id"]) for row in rows]
        assert keys == sorted(keys)
        owners.extend({row["user_id"] for row in rows})
    assert len(owners) == len(set(owners)) == 12


def test_the_rows_do_not_depend_on_shards_batches_or_row_groups(log: Log, tmp_path: Path) -> None:
    log.write(*make_messy_log(4))
    plain = run(log, tmp_path / "plain", num_shards=1)
    for path in sorted(log.events.iterdir()):
        pq.write_table(pq.read_table(path), path, row_group_size=40)
    finer = run(log, tmp_path / "finer", num_shards=7, batch_rows=16)
    for folder in FOLDERS:
        rows = [sorted(map(str, read(tmp_path / name, folder))) for name in ("plain", "finer")]
        assert rows[0] == rows[1]
    vocabularies = [(tmp_path / name / "vocabulary.parquet").read_bytes() for name in ("plain", "finer")]
    assert vocabularies[0] == vocabularies[1]
    for report in (plain, finer):
        del report["seconds"], report["rows_per_second"], report["steps"]
    assert plain == finer


def test_equal_input_gives_equal_bytes(log: Log, tmp_path: Path) -> None:
    log.write(*make_messy_log(5))
    content = []
    for name in ("one", "two"):
        run(log, tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*.parquet"))
        content.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert content[0] == content[1]


def test_events_of_a_user_beyond_the_bound_are_dead_letters(log: Log, tmp_path: Path) -> None:
    rows = [{"user_id": "bot", "timestamp_ms": time} for time in range(10)] + [{"user_id": "person"}]
    report = run(log.write(make_events(rows)), tmp_path / "out", max_events_per_user=4)
    reason = "user_id: expected at most 4 events of one user, the latest are kept"
    assert report["dead_letters"] == {reason: 6}
    assert report["accepted"] == 5
    assert sorted(row["timestamp_ms"] for row in read(tmp_path / "out", "dead_letters")) == [0, 1, 2, 3, 4, 5]


def test_a_log_without_rows_gives_a_vocabulary_of_zeros(log: Log, tmp_path: Path) -> None:
    report = run(log.write(make_events([])), tmp_path / "out")
    assert (report["rows_in"], report["accepted"], report["users"], report["items"]) == (0, 0, 0, 3)
    vocabulary = pq.read_table(tmp_path / "out" / "vocabulary.parquet")
    assert vocabulary.column("num_positives").to_pylist() == [0, 0, 0]
    assert ds.dataset(tmp_path / "out" / "events", format="parquet").count_rows() == 0


def test_a_log_of_unlawful_rows_only_is_all_dead_letters(log: Log, tmp_path: Path) -> None:
    report = run(log.write(make_events([{"event_id": None}] * 3)), tmp_path / "out")
    assert report["dead_letters"] == {"event_id: expected 1 to 128 characters": 3}
    assert report["accepted"] == 0


def test_a_broken_page_stops_the_job_with_the_name_of_the_file_and_no_trace_of_beam(log: Log, tmp_path: Path) -> None:
    path = log.write(make_events([{"event_id": f"e{i * 7919}"} for i in range(5000)])).events / "part-0000.parquet"
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"part-0000.parquet.*or remove it\.$"):
        run(log, tmp_path / "out")


def test_a_missing_catalogue_is_reported_before_anything_runs(log: Log, tmp_path: Path) -> None:
    log.write(make_events([{}])).items.unlink()
    with pytest.raises(WorkspaceError, match="Expected the catalogue at"):
        run(log, tmp_path / "out")
