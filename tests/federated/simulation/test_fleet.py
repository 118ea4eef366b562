"""Rounds over several workers, some of which are killed, in real processes with real TFF workers."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from federated.simulation.worker import run_worker
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace  # noqa: F401
from tests.federated.simulation.test_program import rehearse

pytestmark = pytest.mark.federation
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    place = tmp_path_factory.mktemp("fleet")
    command = [sys.executable, "-m", "tests.federated.simulation.fleet_rehearsal", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout), "place": place}


@pytest.mark.parametrize("name", ["one", "two", "dropped", "retried"])
def test_rounds_of_a_fleet_equal_those_of_the_commands_own_worker(found, name):
    assert found["moved"] > 1e-3
    assert found["off_by"][name] < 1e-5


@pytest.mark.parametrize("name", ["two", "dropped", "retried"])
def test_not_a_bit_depends_on_how_many_workers_there_are_and_who_is_killed_in_mid_round(found, name):
    assert found["same_as_one"][name]


def test_a_lost_worker_is_dropped_and_the_last_one_ends_the_run(found):
    first, second, notes, error = found["dropped"]
    assert notes == [
        f"Lost the worker {second}; 1 left to do its part.",
        f"Lost the worker {first}; 0 left to do its part.",
    ]
    assert error == (
        f"FederationError: Expected one of the workers {first}, {second} to answer, got silence from all. Start them "
        "again (`tandem federate worker`) and run the command again: finished rounds are kept."
    )


def test_a_lost_worker_that_was_started_again_is_asked_again_and_a_round_waits_for_it(found):
    (third, fourth), notes = found["retried"]["addresses"], found["retried"]["notes"]
    assert notes == [
        f"Lost the worker {fourth}; 1 left to do its part.",
        f"The worker {fourth} is back.",
        f"Lost the worker {third}; 1 left to do its part.",
        f"Lost the worker {fourth}; 0 left to do its part.",
        f"The worker {third} is back.",
    ]
    assert found["retried"]["again"]


def test_workers_that_do_not_answer_are_none_or_see_another_folder_are_refused(found):
    refusals = found["refusals"]
    assert refusals["silent"].startswith(
        "ConfigError: Expected a TFF worker at localhost:9, got no answer within 1 s. Start it with `tandem federate "
        "worker --port PORT`"
    )
    assert refusals["other"].endswith("got another service. Is the port right?")
    for name in ("missing", "altered"):
        assert "to see the run's folder /proc/self/cwd, got: " in refusals[name]
        assert "Keep the workspace on a disk that all machines share" in refusals[name]
    assert "a file of this name with another content" in refusals["altered"]


def test_packs_are_cut_into_at_most_eight_parts_in_their_order(found):
    sizes, in_order, have_state = zip(*found["parts"], strict=True)
    assert sizes == ([0], [1], [1, 1, 1], [2, 3, 2, 3, 2, 3, 2, 3])
    assert all(in_order)
    assert all(have_state)


def test_no_worker_is_left_behind(found):
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(part.endswith(("warden.py", "worker_binary")) for part in process.info["cmdline"] or [])
        and Path(f"/proc/{process.pid}/fd/1").readlink().is_relative_to(found["place"])
    ]
    assert left == []


@pytest.fixture(scope="module")
def places(bundled_workspace, tmp_path_factory):  # noqa: F811
    places = [tmp_path_factory.mktemp("abroad") / "workspace" for _ in range(2)]
    for place in places:
        shutil.copytree(bundled_workspace.root, place)
    return [Workspace(place) for place in places]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    place = tmp_path_factory.mktemp("hosts")
    with run_worker(place / "one.log", 60.0) as one, run_worker(place / "two.log", 60.0) as two:
        yield one.address, two.address


@pytest.fixture(scope="module")
def begun(places, hosts):
    """A run that two workers began, killed after its second round."""
    return rehearse("abroad", places[1].root, ",".join(hosts), 2)


def last_state(workspace):
    (path,) = workspace.federated.glob("*/state-00004.npz")
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def test_workers_of_others_outlive_a_killed_run(begun, places, hosts):
    assert begun.returncode == -9
    assert [path.name for path in sorted(places[1].federated.glob("*/state-*"))] == [
        "state-00001.npz",
        "state-00002.npz",
    ]
    for address in hosts:
        socket.create_connection(("localhost", int(address.rpartition(":")[2])), timeout=5).close()


def test_a_run_that_two_workers_began_goes_on_with_one(begun, places, hosts):
    ended = rehearse("abroad", places[1].root, hosts[0])
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "note: Going on after round 2" in ended.stderr
    assert [metrics["round_number"] for metrics in json.loads(ended.stdout)["rounds"]] == [1, 2, 3, 4]


def test_it_ends_as_it_does_in_the_commands_own_worker(begun, places):
    at_home = rehearse("federate", places[0].root)
    assert at_home.returncode == 0, at_home.stderr[-3000:]
    pairs = zip(last_state(places[0]), last_state(places[1]), strict=True)
    assert max(np.abs(one - other).max() for one, other in pairs if one.size) < 1e-5
