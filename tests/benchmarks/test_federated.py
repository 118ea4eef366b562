"""The benchmark of federated rounds, as a real command with a real TFF worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.bench.federated import tabulate_federated

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    place = tmp_path_factory.mktemp("bench")
    options = ["--users", "20", "--slope", "20", "--slope", "30", "--rounds", "2", "--json", "--workspace", str(place)]
    # The pipes close once nothing holds them any more: no worker is left behind.
    done = subprocess.run(
        [sys.executable, "-m", "cli", "bench", "federated", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (place / "bench" / "federated").exists()
    return json.loads(done.stdout)


@pytest.mark.federation
@pytest.mark.parametrize("name", ["reference", "device"])
def test_both_towers_are_timed_both_ways_and_equal(result, name):
    tower = result["towers"][name]
    assert tower["largest_difference"] < 1e-5 < 1e-3 < tower["largest_change"]
    assert tower["ratio"] == pytest.approx(tower["packed_clients_per_s"] / tower["stock_clients_per_s"])


@pytest.mark.federation
def test_cohorts_and_memory_are_what_was_asked_for(result):
    assert [point["num_users"] for point in result["slope"]] == [20, 30]
    assert [point["round"] for point in result["memory"]] == [1, 2]
    assert all(point["worker_bytes"] > 1_000_000 < point["parent_bytes"] for point in result["memory"])
    assert Path(result["report_json"]).name == "bench-federated-20.json"


@pytest.mark.federation
def test_every_figure_is_shown(result):
    towers, cohorts, memory = tabulate_federated(result)
    assert (towers.row_count, cohorts.row_count, memory.row_count) == (2, 2, 2)
