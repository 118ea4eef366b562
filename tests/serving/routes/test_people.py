from __future__ import annotations

import hashlib

import pytest

from data.inbox import settled
from recsys.progress import Silent
from recsys.storage.lock import hold_lock
from recsys.storage.workspace import TRAIN_LOCK
from tests.serving.conftest import problem_of, start

EVENT = {"event_id": "new-1", "user_id": "someone-new", "item_id": "i001", "action": "click", "surface": "feed"}
BODY = {"consent": True, "events": [{**EVENT, "timestamp_ms": 1_700_000_000_000}]}


def logged(workspace, user_id):
    import pyarrow.parquet as pq

    tables = [pq.ParquetFile(path).read() for path in sorted(workspace.events.glob("*.parquet"))]
    return [row["event_id"] for table in tables for row in table.to_pylist() if row["user_id"] == user_id]


def test_an_event_counts_once_and_lies_once_in_the_log_that_training_reads(own_workspace):
    with start(own_workspace) as client:
        assert client.post("/v1/events", json=BODY).json() == {"accepted": 1, "duplicates": 0, "degraded": False}
        assert client.post("/v1/events", json=BODY).json()["duplicates"] == 1
        for _ in range(2):
            with hold_lock(own_workspace.root / TRAIN_LOCK), settled(own_workspace, Silent()):
                assert logged(own_workspace, "someone-new") == ["new-1"]
        assert client.post("/v1/events", json=BODY).json()["duplicates"] == 1


@pytest.mark.parametrize("user_id", ["line\nbreak", "ends with one\n", "a/b", "..", "é\x00"])
def test_whoever_can_be_known_can_be_forgotten_whatever_the_id_is_made_of(own_workspace, user_id):
    like = {**BODY["events"][0], "action": "like", "user_id": user_id}
    with start(own_workspace) as client:
        assert client.post("/v1/events", json={**BODY, "events": [like]}).json()["accepted"] == 1
        assert client.app.state.service.histories.recent(user_id).item_ids == ["i001"]
        path = "".join(f"%{byte:02X}" for byte in user_id.encode())
        assert client.delete(f"/v1/users/{path}").status_code in (200, 202)
        assert client.app.state.service.histories.recent(user_id).item_ids == []


def test_a_forgotten_person_is_in_no_log_and_no_shard(own_workspace):
    with start(own_workspace) as client:
        assert logged(own_workspace, "u01")
        assert client.delete("/v1/users/u01").json() == {"status": "forgotten"}
    assert logged(own_workspace, "u01") == []


def test_while_a_training_runs_the_files_follow_at_its_end(own_workspace):
    with start(own_workspace) as client:
        with hold_lock(own_workspace.root / TRAIN_LOCK):
            assert client.delete("/v1/users/u01").status_code == 202
        assert client.delete("/v1/users/u01").status_code == 200
    assert logged(own_workspace, "u01") == []


@pytest.mark.parametrize(
    ("key", "path", "status"), [("", "/v1/bundle", 401), ("d", "/v1/users/x", 403), ("d", "/v1/bundle", 200)]
)
def test_keys_open_what_their_scope_allows(own_workspace, tmp_path, key, path, status):
    digest = hashlib.sha256(b"d").hexdigest()
    (tmp_path / "keys.toml").write_text(f'[d]\nsha256 = "{digest}"\nscope = "device"\nrequests_per_s = 9\n')
    with start(own_workspace, keys_file=str(tmp_path / "keys.toml")) as client:
        answer = client.request(
            "DELETE" if "users" in path else "GET", path, headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == status


def test_a_deadline_that_is_none_is_refused(client):
    wish = {"surface": "feed", "count": 1, "history": []}
    answer = client.post("/v1/recommend", json=wish, headers={"X-Deadline-Ms": "-1"})
    assert "from 1 to 600000" in problem_of(answer, 422)["detail"]
