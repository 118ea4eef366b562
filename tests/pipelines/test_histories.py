from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.histories import read_histories
from pipelines.prepare.job import prepare
from recsys.config.cloud import PrepareSettings
from tests.pipelines.conftest import Log, make_events


def histories_of(log: Log, output_dir: Path, rows: list[dict[str, Any]], num_shards: int = 1) -> list[dict[str, Any]]:
    log.write(make_events(rows))
    prepare(log.events, log.items, output_dir, PrepareSettings(num_shards=num_shards))
    return [{user: items.tolist() for user, items in part.items()} for part in read_histories(output_dir)]


def test_a_history_holds_positives_of_both_periods_oldest_first(log: Log, tmp_path: Path) -> None:
    rows = [
        {"item_id": "c", "timestamp_ms": 30, "action": "like"},
        {"item_id": "a", "timestamp_ms": 10},
        {"item_id": "b", "timestamp_ms": 20, "action": "impression"},
        {"item_id": "a", "timestamp_ms": 40, "action": "rating", "value": 1.0},
        {"item_id": "b", "timestamp_ms": 50, "action": "dislike"},
    ]
    assert histories_of(log, tmp_path, rows) == [{"u": [1, 3, 1]}]


def test_an_item_that_follows_itself_counts_once_also_at_the_border_of_users(log: Log, tmp_path: Path) -> None:
    rows = [
        {"user_id": "u", "item_id": "a", "timestamp_ms": 1},
        {"user_id": "u", "item_id": "a", "timestamp_ms": 2, "action": "like"},
        {"user_id": "v", "item_id": "a", "timestamp_ms": 3},
        {"user_id": "v", "item_id": "b", "timestamp_ms": 4},
        {"user_id": "v", "item_id": "a", "timestamp_ms": 5},
    ]
    assert histories_of(log, tmp_path, rows) == [{"u": [1], "v": [1, 2, 1]}]


def test_users_without_positives_are_left_out(log: Log, tmp_path: Path) -> None:
    assert histories_of(log, tmp_path, [{"action": "impression"}]) == [{}]


def test_every_user_is_in_one_part(log: Log, tmp_path: Path) -> None:
    parts = histories_of(log, tmp_path, [{"user_id": f"u{number}"} for number in range(20)], num_shards=3)
    assert len(parts) == 3
    assert sorted(user for part in parts for user in part) == sorted(f"u{number}" for number in range(20))
