from __future__ import annotations

import pyarrow as pa

from pipelines.prepare.deduplication import deduplicate


def rows(*cells: tuple[str, int, int]) -> pa.Table:
    names = ("event_id", "timestamp_ms", "row")
    return pa.table({name: list(column) for name, column in zip(names, zip(*cells, strict=True), strict=True)})


def test_the_earliest_copy_is_kept_wherever_it_stands() -> None:
    kept, dropped = deduplicate(rows(("x", 9, 0), ("y", 1, 1), ("x", 3, 2), ("x", 5, 3)))
    assert kept.column("row").to_pylist() == [1, 2]
    assert dropped.column("row").to_pylist() == [0, 3]


def test_of_copies_of_one_time_the_first_in_the_log_is_kept() -> None:
    kept, dropped = deduplicate(rows(("x", 3, 7), ("x", 3, 4), ("x", 3, 5)))
    assert kept.column("row").to_pylist() == [4]
    assert dropped.column("row").to_pylist() == [5, 7]


def test_copies_are_found_across_chunks() -> None:
    kept, dropped = deduplicate(pa.concat_tables([rows(("x", 1, 0)), rows(("x", 0, 1), ("y", 0, 2))]))
    assert kept.column("row").to_pylist() == [1, 2]
    assert dropped.column("row").to_pylist() == [0]
