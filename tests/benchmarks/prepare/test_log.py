from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.prepare import log
from benchmarks.prepare.log import hex_ids, write_log


def test_ids_are_distinct_and_of_one_length() -> None:
    ids = hex_ids(np.arange(10_000)).to_pylist()
    assert len(set(ids)) == 10_000
    assert {len(name) for name in ids} == {16}


def test_equal_seeds_give_equal_logs_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        (tmp_path / name).mkdir()
        write_log(2_000, seed, tmp_path / name / "events", tmp_path / name / "items.parquet")
    one, same, other = (pq.read_table(tmp_path / name / "events") for name in ("one", "same", "other"))
    assert one.num_rows == 2_000
    assert one.equals(same)
    assert not one.equals(other)


def test_a_log_of_several_files_repeats_ids_of_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "ROWS_PER_FILE", 1_000)
    write_log(2_500, 0, tmp_path / "events", tmp_path / "items.parquet")
    first, second, third = (pq.read_table(path) for path in sorted((tmp_path / "events").iterdir()))
    assert (first.num_rows, second.num_rows, third.num_rows) == (1_000, 1_000, 500)
    names = [set(table.column("event_id").drop_null().to_pylist()) for table in (first, second)]
    assert names[0] & names[1]
