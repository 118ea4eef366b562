"""No worker is left behind, however its parent goes. A parent here is a real process with a real TFF worker."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from federated.simulation.worker import run_worker
from recsys.errors import FederationError

pytestmark = pytest.mark.federation

PARENT = """
import os, sys, time
from pathlib import Path
from federated.simulation.worker import run_worker
with run_worker(Path(sys.argv[1]), 30.0) as worker:
    print(worker.warden.pid, flush=True)
    {ending}
"""
ROOT = Path(__file__).parents[3]


def start_parent(tmp_path, ending):
    """A process that runs a worker; returns it with the ids of the warden and the worker."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(ending=ending), str(tmp_path / "worker.log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    warden = psutil.Process(int(parent.stdout.readline()))
    return parent, [warden, *warden.children()]


def await_gone(processes, within_s=5.0):
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not alive


def test_the_parent_has_a_warden_and_the_warden_has_the_worker(tmp_path):
    parent, processes = start_parent(tmp_path, "time.sleep(60)")
    assert [Path(process.cmdline()[0]).name for process in processes[1:]] == ["worker_binary"]
    parent.kill()
    parent.communicate()
    assert await_gone(processes)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("time.sleep(0.3)", 0),
        ("time.sleep(0.3); raise ValueError('boom')", 1),
        ("time.sleep(0.3); sys.exit(3)", 3),
        ("time.sleep(0.3); os._exit(4)", 4),
    ],
)
def test_the_worker_ends_with_a_parent_that_ends_by_itself(tmp_path, ending, code):
    parent, processes = start_parent(tmp_path, ending)
    parent.communicate(timeout=20)
    assert parent.returncode == code
    assert await_gone(processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_worker_ends_with_a_parent_that_is_ended_by_a_signal(tmp_path, number):
    parent, processes = start_parent(tmp_path, "time.sleep(60)")
    parent.send_signal(number)
    parent.communicate(timeout=20)
    assert await_gone(processes)


def test_the_worker_ends_when_its_warden_is_killed_and_the_parent_is_told(tmp_path):
    with run_worker(tmp_path / "worker.log", 30.0) as worker:
        warden = psutil.Process(worker.warden.pid)
        (child,) = warden.children()
        warden.kill()
        assert await_gone([child])
        worker.warden.wait()
        with pytest.raises(FederationError, match="ended with code -9"):
            worker.check()


def test_a_killed_worker_is_reported_with_the_tail_of_its_log(tmp_path):
    with run_worker(tmp_path / "worker.log", 30.0) as worker:
        (child,) = psutil.Process(worker.warden.pid).children()
        child.kill()
        worker.warden.wait(5)
        with pytest.raises(FederationError, match=r"ended with code 137(.|\n)*ExecutorService started"):
            worker.check()


def test_a_pipe_behind_the_parent_closes_even_when_the_parent_is_killed(tmp_path):
    script = PARENT.format(ending="os.kill(os.getpid(), 9)")
    began = time.monotonic()
    ran = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$0" "$1" | cat', script, str(tmp_path / "worker.log")],
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=20,
    )
    assert ran.stdout.strip().isdigit()
    assert time.monotonic() - began < 15


def test_nothing_of_the_worker_reaches_stdout_or_stderr(tmp_path):
    parent, _ = start_parent(tmp_path, "time.sleep(0.3)")
    stdout, stderr = parent.communicate(timeout=20)
    assert (stdout, stderr) == ("", "")
    assert "ExecutorService started" in (tmp_path / "worker.log").read_text()


def test_two_workers_never_share_a_port(tmp_path):
    with run_worker(tmp_path / "a.log", 30.0) as one, run_worker(tmp_path / "b.log", 30.0) as other:
        assert one.address != other.address


def test_a_worker_that_ends_before_it_listens_is_reported_with_what_it_said(tmp_path):
    command = [sys.executable, "-c", "print('no licence'); raise SystemExit(9)"]
    with (
        pytest.raises(FederationError, match=r"ended with code 9(.|\n)*no licence"),
        run_worker(tmp_path / "worker.log", 30.0, command),
    ):
        pass


def test_a_worker_that_does_not_listen_in_time_is_reported_and_ended(tmp_path):
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with (
        pytest.raises(FederationError, match=r"listen within 0.5 s(.|\n)*worker_start_s"),
        run_worker(tmp_path / "worker.log", 0.5, [sys.executable, "-c", script]),
    ):
        pass
    assert not psutil.pid_exists(int((tmp_path / "worker.log").read_text()))
