"""One kill of the real command; `tandem bench resumption` does ten."""

import shutil
import subprocess
import sys

import pytest

from benchmarks.resumption import bench_resumption, count_workers
from cli.bench.resumption import tabulate_resumption
from recsys.errors import FederationError
from recsys.progress import Silent
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace  # noqa: F401

SETTINGS = """
[device]
num_candidates = 16
max_examples = 8
[rounds]
num_rounds = 3
clients_per_round = 6
validation_users = 10
"""


@pytest.fixture(scope="module")
def result(bundled_workspace, tmp_path_factory):  # noqa: F811
    place = tmp_path_factory.mktemp("resumption") / "workspace"
    shutil.copytree(bundled_workspace.root, place)
    (place / "small.toml").write_text(SETTINGS)
    found = bench_resumption(Workspace(place), kills=1, seed=1, progress=Silent(), config=place / "small.toml")
    assert list((place / "bench").iterdir()) == []
    return found


@pytest.mark.federation
def test_a_run_that_was_killed_and_called_again_ends_with_the_same_weights_and_leaves_no_worker(result):
    (kill,) = result["kills"]
    assert result["num_same"] == 1
    assert result["num_rounds"] == 3
    assert kill["is_same"]
    assert kill["num_workers_left"] == 0
    assert 0 < kill["after_s"] < result["whole_seconds"]


def test_each_kill_is_shown_in_a_row():
    kill = {"after_s": 1.5, "num_finished": 2, "num_workers_left": 0, "rerun_seconds": 3.0, "is_same": True}
    result = {"num_same": 1, "num_rounds": 4, "whole_seconds": 5.0, "kills": [kill, {**kill, "is_same": False}]}
    table = tabulate_resumption(result)
    assert table.title == "1 of 2 runs end with the same weights"
    assert list(table.columns[-1].cells) == ["the same", "differ"]
    assert next(iter(table.columns[0].cells)) == "1.50 s"


def test_a_process_that_still_writes_below_the_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.resumption._GONE_S", 0.0)
    with (tmp_path / "log").open("wb") as log:
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=log)
    try:
        assert count_workers(tmp_path) == 1
    finally:
        sleeper.kill()
        sleeper.wait()
    assert count_workers(tmp_path) == 0


def test_a_workspace_whose_run_fails_is_told_with_its_last_words(tmp_path):
    (tmp_path / "workspace").mkdir()
    with pytest.raises(FederationError, match=r"to end well, got \d+: [\s\S]*Run `tandem"):
        bench_resumption(Workspace(tmp_path / "workspace"), kills=1, seed=0, progress=Silent())
