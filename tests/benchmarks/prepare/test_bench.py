from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.prepare.bench import COUNTERS, agree, bench_prepare
from recsys.errors import TrainingError
from recsys.progress import Silent
from recsys.storage.workspace import Workspace


def test_the_stage_and_pandas_agree_on_a_log_with_every_reason_and_nothing_is_left(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    result = bench_prepare(workspace, [20_000, 5_000], repeats=1, seed=1, progress=Silent())
    assert [size["rows"] for size in result["sizes"]] == [5_000, 20_000]
    small, large = (size["counters"] for size in result["sizes"])
    for counters in (small, large):
        dead = sum(counters["dead_letters"].values())
        assert counters["rows_in"] == counters["accepted"] + counters["duplicates"] + dead
        assert counters["accepted"] == counters["train"] + counters["validation"]
    assert len(large["dead_letters"]) == 11
    assert large["duplicates"] > 150
    seconds = [size["ways"]["prepare"]["seconds"] for size in result["sizes"]]
    assert result["growth"]["prepare"] == pytest.approx(seconds[1] / seconds[0])
    assert list((tmp_path / "bench").iterdir()) == []


def test_ways_that_do_not_agree_are_told_with_both_numbers() -> None:
    counters = dict.fromkeys(COUNTERS, 7)
    with pytest.raises(TrainingError, match="agree on duplicates, got 7 and 8"):
        agree({"prepare": counters, "pandas": {**counters, "duplicates": 8}})


def test_a_run_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Expected `python .*got code 1: (?s:.*)WorkspaceError"):
        bench_prepare(Workspace(tmp_path), [0], repeats=1, seed=0, progress=Silent())
