"""Asking the served API as a client would."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.trial import ask, choose_person, run_server
from recsys.errors import WorkspaceError
from recsys.storage.workspace import Workspace


def write_shard(workspace: Workspace, rows: list[tuple[str, str, str, str, int, str]]) -> None:
    names = ("user_id", "item_id", "action", "surface", "timestamp_ms", "part")
    workspace.devices.mkdir(parents=True)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    pq.write_table(pa.table(columns), workspace.devices / "shard-0000.parquet")


def test_the_person_asked_for_is_the_one_with_most_private_likes_on_the_feed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_shard(
        workspace,
        [
            ("ada", "i1", "click", "feed", 10, "consented"),
            ("ada", "i2", "click", "feed", 20, "private"),
            ("bob", "i3", "click", "feed", 10, "private"),
            ("bob", "i4", "like", "feed", 30, "private"),
            ("bob", "i5", "impression", "feed", 40, "private"),
            ("cyd", "i6", "click", "live", 10, "private"),
            ("cyd", "i7", "click", "live", 11, "private"),
            ("cyd", "i8", "click", "live", 12, "private"),
        ],
    )
    person = choose_person(workspace)
    assert (person.user_id, person.now_ms, person.history) == ("bob", 30, ["i3", "i4"])


def test_a_world_without_private_logs_has_nobody_to_ask_for(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_shard(workspace, [("ada", "i1", "click", "feed", 10, "consented")])
    with pytest.raises(WorkspaceError, match=r"Expected private behaviour in .*, or lower `split.min_positives`"):
        choose_person(workspace)


def test_a_workspace_without_devices_has_nobody_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"Expected device shards .* Run `tandem ingest`"):
        choose_person(Workspace(tmp_path))


def test_a_server_that_does_not_start_is_told_with_its_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkspaceError, match="Expected the server to start, got exit code 4"), run_server(tmp_path):
        pass
    assert "Run `tandem train" in capfd.readouterr().err


def test_a_server_that_is_not_ready_in_time_is_told_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.trial._READY_S", 0.05)
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(WorkspaceError, match=r"Expected the server to be ready within 0.05 s"), run_server(tmp_path):
        pass
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture
def refusing_url() -> Iterator[str]:
    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b'{"detail": "Expected a count from 1 up."}'
            self.send_response(422)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_refused_request_is_told_in_the_servers_words(refusing_url: str) -> None:
    with pytest.raises(WorkspaceError, match=r"got 422: .*Expected a count from 1 up"):
        ask(refusing_url, "/v1/recommend", {"count": 0})


def test_a_server_that_is_gone_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(WorkspaceError, match=r"Expected an answer from .*/v1/recommend, got .*refused"):
        ask(url, "/v1/recommend", {})
