from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.statistics.histories import Histories, keep_distinct, read_histories
from tests.pipelines.statistics.conftest import write_examples


def histories(*users: list[int]) -> Histories:
    offsets = np.cumsum([0, *map(len, users)])
    return Histories(offsets, np.array([item for items in users for item in items], np.int32))


def per_user(some: Histories) -> list[list[int]]:
    return [part.tolist() for part in np.split(some.items, some.offsets[1:-1])]


def test_positives_of_the_training_period_are_read_and_an_item_that_follows_itself_counts_once(
    two_people: Path,
) -> None:
    (part,) = read_histories(two_people / "events" / "part-00000.parquet", 100)
    assert per_user(part) == [[1, 2, 3]]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 4, 100])
def test_users_are_whole_whatever_the_size_of_a_batch(tmp_path: Path, batch_rows: int) -> None:
    rows = [("a", 1, "click", 0), ("a", 2, "click", 0), ("b", 3, "impression", 0)]
    rows += [("c", 2, "click", 0), ("c", 2, "like", 0), ("c", 1, "click", 0), ("d", 1, "click", 0)]
    folder = write_examples(tmp_path / "examples", [rows], 3)
    parts = list(read_histories(folder / "events" / "part-00000.parquet", batch_rows))
    assert [user for part in parts for user in per_user(part)] == [[1, 2], [2, 1], [1]]


def test_a_part_without_positives_has_no_histories(tmp_path: Path) -> None:
    folder = write_examples(tmp_path / "examples", [[("a", 1, "impression", 0), ("a", 1, "click", 1)]], 1)
    assert list(read_histories(folder / "events" / "part-00000.parquet", 100)) == []


def test_the_same_item_at_the_end_of_one_user_and_the_start_of_the_next_counts_for_both(tmp_path: Path) -> None:
    folder = write_examples(tmp_path / "examples", [[("a", 1, "click", 0), ("b", 1, "click", 0)]], 1)
    parts = read_histories(folder / "events" / "part-00000.parquet", 100)
    assert [user for part in parts for user in per_user(part)] == [[1], [1]]


def test_distinct_items_are_those_of_the_last_few() -> None:
    kept = keep_distinct(histories([9, 5, 2, 5], [7]), max_items=3)
    assert per_user(kept) == [[2, 5], [7]]
