"""Somebody who asks a server to be forgotten is in no byte of the workspace afterwards, and in no key of Redis."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redis

from benchmarks.serving.faults import Redis
from recsys.storage.workspace import Workspace
from tests.e2e.conftest import PERSON, Demo
from tests.naming import files_with
from tests.redis_server import own_redis, redis_folder
from tests.serving.test_server import Running, running

__all__ = ["own_redis", "redis_folder"]

pytestmark = pytest.mark.e2e

EVENT = {"user_id": PERSON, "action": "like", "surface": "feed", "timestamp_ms": 1_700_000_000_000}


def post_events(server: Running, item_ids: list[str]) -> None:
    events = [{**EVENT, "event_id": f"new-{item_id}", "item_id": item_id} for item_id in item_ids]
    answer = server.http.post("/v1/events", json={"consent": True, "events": events})
    assert answer.json() == {"accepted": len(events), "duplicates": 0, "degraded": False}


def forget(server: Running) -> None:
    answer = server.http.delete(f"/v1/users/{PERSON}")
    assert (answer.status_code, answer.json()) == (200, {"status": "forgotten"})


def test_they_are_in_no_byte_of_any_file_while_the_server_runs_and_when_it_ended(demo: Demo, tmp_path: Path) -> None:
    workspace = Workspace(demo.copy_to(tmp_path / "world"))
    leave_half_written(workspace)
    with running(workspace) as server:
        post_events(server, ["i001", "i002"])
        named = files_with(workspace.root, PERSON)
        assert {Path(name).parts[0] for name in named} == {
            *("catalogue", "devices", "events", "examples", "models", "state", "teacher", "truth.npz")
        }
        assert {path.name for path in named.values()} >= {"events.sqlite-wal", "sessions.sqlite", HALF_LOG}
        forget(server)
        assert files_with(workspace.root, PERSON) == {}
        post_events(server, ["i003"])
        assert set(files_with(workspace.root, PERSON)) <= {
            f"state/{store}.sqlite{ending}" for store in ("events", "sessions") for ending in ("", "-wal")
        }
        forget(server)
        code, out, err = server.stop()
    assert code == 0
    assert PERSON not in out + err
    assert files_with(workspace.root, PERSON) == {}


HALF_LOG = ".served-0000.parquet.0123456789ab.partial"


def leave_half_written(workspace: Workspace) -> None:
    """Leaves what a kill leaves: a part of the log, and of prepared examples, that was being written."""
    (part,) = workspace.events.glob("*.parquet")
    (workspace.events / HALF_LOG).write_bytes(part.read_bytes())
    (examples,) = workspace.examples.iterdir()
    half = workspace.examples / "0123456789abcdef.partial"
    shutil.copytree(examples, half)
    for path in (half / "events").iterdir():
        path.write_bytes(path.read_bytes()[:-20])


def test_they_are_in_no_key_and_no_value_of_redis(demo: Demo, tmp_path: Path, own_redis: Redis) -> None:
    workspace = Workspace(demo.copy_to(tmp_path / "world"))
    client = redis.Redis.from_url(own_redis.url)
    with running(workspace, redis_url=own_redis.url) as server:
        post_events(server, ["i001", "i002"])
        assert PERSON.encode() in b" ".join(client.keys())
        forget(server)
        assert client.keys() == []
    client.close()
    assert files_with(workspace.root, PERSON) == {}
