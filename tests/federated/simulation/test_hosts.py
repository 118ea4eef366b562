"""`tandem federate worker`: real processes with real TFF workers, which never outlive their command."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.federated.simulation.test_worker import await_gone

pytestmark = pytest.mark.federation
ROOT = Path(__file__).parents[3]


def start_host(workspace, *options):
    """A command that runs a worker; returns it with what it said, and the ids of the warden and the worker."""
    command = subprocess.Popen(
        [sys.executable, "-m", "cli", "federate", "worker", "--workspace", str(workspace), "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    told = json.loads(command.stdout.readline())
    (warden,) = psutil.Process(command.pid).children()
    return command, told, [warden, *warden.children()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_worker_answers_where_its_command_says_and_ends_with_it(tmp_path, number, code):
    command, told, processes = start_host(tmp_path)
    assert told["address"].endswith(f":{told['port']}")
    socket.create_connection(("127.0.0.1", told["port"]), timeout=5).close()
    assert [Path(process.cmdline()[0]).name for process in processes[1:]] == ["worker_binary"]
    command.send_signal(number)
    command.communicate(timeout=30)
    assert command.returncode == code
    assert await_gone(processes)
    assert Path(told["log"]).exists() == (number == signal.SIGKILL)


def test_a_port_on_which_a_worker_listens_is_refused_to_another(tmp_path):
    command, told, processes = start_host(tmp_path)
    other = subprocess.run(
        [sys.executable, "-m", "cli", "federate", "worker", "--port", str(told["port"]), "--workspace", str(tmp_path)],
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=60,
    )
    command.terminate()
    command.communicate(timeout=30)
    assert await_gone(processes)
    assert other.returncode == 2
    assert f"Expected port {told['port']} to be free for a TFF worker, got: Address already in use" in other.stderr


def test_a_command_whose_worker_is_killed_ends_with_the_last_words_of_it(tmp_path):
    command, _, (_, worker) = start_host(tmp_path, "--port", "0")
    worker.kill()
    _, said = command.communicate(timeout=30)
    assert command.returncode == 7
    assert "Expected a running TFF worker, got one that ended with code 137" in said
    assert "ExecutorService started" in said


@pytest.mark.parametrize(
    ("workers", "why"),
    [
        ("nowhere", "expected workers as host:port, separated by commas, got 'nowhere'"),
        ("here:0", "expected workers as host:port, separated by commas, got 'here:0'"),
        ("here:7501,", "expected workers as host:port, separated by commas, got ''"),
        ("here:7501,here:7501", "expected each worker once, got ['here:7501', 'here:7501']"),
    ],
)
def test_workers_that_are_no_addresses_are_refused(tmp_path, workers, why):
    run = subprocess.run(
        [sys.executable, "-m", "cli", "federate", "--workers", workers, "--workspace", str(tmp_path)],
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    assert why in run.stderr
