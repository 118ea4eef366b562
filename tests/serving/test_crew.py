"""Several processes on one socket, as they run: what happens to them, and to those who ask."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError, WorkspaceError
from recsys.storage.event_log import LOG_FILE, EventLog
from recsys.storage.workspace import Workspace
from serving.client import Client
from serving.crew import serve_by_many
from serving.wire.feed import RecommendRequest
from tests.bundles import publish_variant
from tests.serving.test_deployment import wait_until
from tests.serving.test_server import REPOSITORY, WISH, Running

PROGRAM = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from recsys.config.serving import ServingSettings
    from recsys.storage.workspace import Workspace
    from serving.crew import serve_by_many

    settings = ServingSettings(port=0, poll_s=0.05, num_workers=2, drain_s=3.0, keys_file=sys.argv[2])
    serve_by_many(Workspace(Path(sys.argv[1])), settings, lambda url: print(url, flush=True))
    """
)


@pytest.fixture
def crew(own_workspace, tmp_path):
    """A server of two processes, its log in a file."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(own_workspace.root), ""],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), (tmp_path / "log").read_text()
            server = Running(process, url, 0.0)
            with server.http:
                yield server
        finally:
            process.kill()
            process.communicate()


def workers_of(server: Running) -> list[psutil.Process]:
    return [child for child in psutil.Process(server.process.pid).children() if "serving.worker" in child.cmdline()]


def ask_often(server: Running, count: int = 40) -> list[dict[str, object]]:
    """Asks over a connection for each request, from several threads, so that all processes are asked."""

    def ask(_: int) -> dict[str, object]:
        answer = httpx.post(f"{server.url}/v1/recommend", json=WISH, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, range(count)))


def test_two_processes_give_one_answer_follow_the_bundle_and_add_up_their_figures(crew, own_workspace):
    assert len(workers_of(crew)) == 2
    answers = ask_often(crew)
    assert all(answer == answers[0] for answer in answers)
    counted = 'tandem_requests_total{method="POST",route="/v1/recommend",status="200"} 40.0'
    assert all(counted in httpx.get(f"{crew.url}/metrics").text for _ in range(6)), "whichever process is asked"
    version = publish_variant(own_workspace).manifest.version
    served = re.compile(rf'tandem_bundle_info{{embedding_version="[0-9a-f]+",version="{version}"}} 2\.0')
    wait_until(lambda: served.search(httpx.get(f"{crew.url}/metrics").text))
    assert {answer["bundle_version"] for answer in ask_often(crew, 10)} == {version}


def test_a_killed_process_is_replaced_and_who_asks_again_is_answered(crew):
    doomed = workers_of(crew)[0].pid
    wish = RecommendRequest(surface="feed", count=3, history=["i001"])
    with Client(crew.url) as client:
        first = client.recommend(wish)
        os.kill(doomed, signal.SIGKILL)
        assert all(client.recommend(wish) == first for _ in range(30))
    wait_until(lambda: len(workers_of(crew)) == 2 and doomed not in [worker.pid for worker in workers_of(crew)], 30)
    assert crew.process.poll() is None


def test_sigterm_lets_all_drain_and_ends_with_code_0_and_nobody_left(crew, tmp_path):
    members = workers_of(crew)
    code, _, _ = crew.stop(signal.SIGTERM)
    assert code == 0
    assert not any(member.is_running() for member in members)
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines() if line[0] == "{"]
    assert events.count("ended") == 3, "both processes and their parent"


def test_nobody_is_left_when_the_parent_is_killed(crew):
    members = workers_of(crew)
    os.kill(crew.process.pid, signal.SIGKILL)
    gone, left = psutil.wait_procs(members, timeout=20)
    assert (len(gone), left) == (2, [])


def test_without_a_bundle_it_does_not_start_and_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceError, match="Run `tandem train --workspace"):
        serve_by_many(Workspace(tmp_path), ServingSettings(port=0, num_workers=2))


def test_without_a_temporary_folder_it_does_not_start_and_says_what_to_do(bundled_workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"Expected a temporary folder that can be written.*got: No such file"):
        serve_by_many(bundled_workspace, ServingSettings(port=0, num_workers=2))


def test_a_process_that_cannot_start_ends_the_server_with_the_reason(bundled_workspace, tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(bundled_workspace.root), str(tmp_path / "absent.toml")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert "ConfigError: Expected 2 server processes that get ready, got one that ended with code 1." in done.stderr
    assert "Expected a file of API keys at" in done.stderr
    assert done.stdout == ""


def append(path: str, name: str) -> subprocess.Popen[bytes]:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from recsys.contracts.events import Action, Event, Surface
        from recsys.storage.event_log import EventLog

        sys.stdin.readline()
        log = EventLog(Path(sys.argv[1]), 10_000)
        for number in range(50):
            ids = ["own", sys.argv[2]], ["shared", "all"]
            log.append([Event(f"{a}-{b}-{number}", "u", "i", Action.LIKE, Surface.FEED, 1) for a, b in ids])
        """
    )
    return subprocess.Popen([sys.executable, "-c", program, path, name], cwd=REPOSITORY, stdin=subprocess.PIPE)


def test_processes_that_open_a_new_event_log_together_keep_every_event_once(tmp_path):
    processes = [append(str(tmp_path / LOG_FILE), name) for name in "abcd"]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(120) for process in processes] == [0] * 4
    _, events = EventLog(tmp_path / LOG_FILE, 10_000).waiting()
    assert len(events) == 4 * 50 + 50
