"""The long run, shortened: real processes, and everything that happens to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.serving.faults import REDIS, Timetable, kill_one, publish_renamed
from benchmarks.serving.soak import _Memory, bench_soak
from recsys.errors import ConfigError
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace, own_workspace

__all__ = ["bundled_workspace", "own_workspace"]


def test_nobody_is_let_down_by_swaps_a_restart_of_redis_and_a_killed_process(own_workspace: Workspace) -> None:
    before = BundleRegistry(own_workspace).versions()
    result = bench_soak(own_workspace, seconds=8.0, num_workers=2, seed=0, progress=Silent())
    assert result["failures"] == {}
    assert result["num_answers"] > 0
    assert set(result["attempts"]) <= {"200", "0", "429", "503"}
    what = [event["what"] for event in result["done"]]
    assert [words.split()[0] for words in what if "Redis" not in words and "redis" not in words] == [
        "published",
        "published",
        "published",
        "killed",
    ]
    assert len(what) == 5
    assert result["store"] == ("redis" if shutil.which(REDIS) else "embedded")
    assert len(result["memory"]) == 1, "one of two lived throughout"
    assert result["memory"][0]["end_bytes"] > 10 * 2**20
    assert BundleRegistry(own_workspace).versions() == before, "a copy was served"


def test_a_bundle_that_is_published_again_is_another_version_of_the_same_files(own_workspace: Workspace) -> None:
    first = BundleRegistry(own_workspace).current()
    version = publish_renamed(own_workspace)
    again = BundleRegistry(own_workspace).current()
    assert again.manifest.version == version != first.manifest.version
    assert again.manifest.files == first.manifest.files


def test_the_only_process_is_not_killed() -> None:
    with pytest.raises(ConfigError, match="Expected at least 2 server processes, one to be killed, got 1"):
        kill_one([os.getpid()])


def test_a_timetable_does_what_is_due_in_turn_and_tells_what_went_wrong(tmp_path: Path) -> None:
    done: list[str] = []

    def act(words: str) -> str:
        done.append(words)
        return words

    def fail() -> str:
        raise ConfigError("broken")

    timetable = Timetable([(0.0, lambda: act("one")), (0.05, lambda: act("two")), (60.0, lambda: act("never"))])
    with timetable.running():
        while len(timetable.done) < 2:
            time.sleep(0.01)
    assert (done, timetable.done) == (["one", "two"], [(0.0, "one"), (0.05, "two")])
    broken = Timetable([(0.0, fail), (0.0, lambda: act("not reached"))])
    with pytest.raises(ConfigError, match="broken"), broken.running():
        time.sleep(0.2)
    assert done == ["one", "two"]


def test_memory_is_told_of_those_that_lived_throughout_once_they_were_warm() -> None:
    """Of 100 s the first 20 do not count; from then on one grows by 1 byte a second, the other has ended."""
    memory = _Memory([1, 2])
    memory.seconds = [0.0, 10.0, 20.0, 60.0, 100.0]
    memory.sizes = [[0 + 5, 7], [900, 7], [1_020, 7], [1_060, 0], [1_100, 0]]
    [told] = memory.summarise(100.0)
    assert told == {
        "start_bytes": 1_020.0,
        "end_bytes": 1_100.0,
        "slope_bytes_per_min": pytest.approx(60.0),
        "course": [[0.0, 5.0], [10.0, 900.0], [20.0, 1_020.0], [60.0, 1_060.0], [100.0, 1_100.0]],
    }


def test_memory_is_read_of_a_living_process() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    memory = _Memory([process.pid])
    with memory.watched(0.01):
        while not memory.sizes or memory.sizes[-1][0] < 2**20:
            time.sleep(0.01)
        process.communicate(b"\n")
        while memory.sizes[-1][0]:
            time.sleep(0.01)
    assert memory.summarise(0.0) == [], "it ended before the block did"
