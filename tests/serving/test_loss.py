"""What is left when something is lost: the server itself, Redis, or the time."""

from __future__ import annotations

import signal
import threading

import httpx
import pyarrow.parquet as pq

from pipelines.job import train
from pipelines.prepare.layout import EVENTS
from recsys.progress import Silent
from tests.pipelines.conftest import TINY_CLOUD
from tests.redis_server import own_redis, redis_folder
from tests.serving.conftest import problem_of, start
from tests.serving.test_deployment import wait_until
from tests.serving.test_server import running

__all__ = ["own_redis", "redis_folder"]

WISH = {"surface": "feed", "count": 5, "history": ["i001"]}


def events_of(*event_ids, user_id="someone-new"):
    facts = {
        "user_id": user_id,
        "item_id": "i001",
        "action": "like",
        "surface": "feed",
        "timestamp_ms": 1_700_000_000_000,
    }
    return {"consent": True, "events": [{"event_id": event_id, **facts} for event_id in event_ids]}


def test_what_was_acknowledged_before_a_kill_is_in_the_next_training_once(own_workspace):
    """Four senders, none of whom knows when the server will be gone."""
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(sender, url):
        with httpx.Client(base_url=url, timeout=10) as http:
            for number in range(10_000):
                event_id = f"{sender}-{number}"
                try:
                    answer = http.post("/v1/events", json=events_of(event_id))
                except httpx.TransportError:
                    return
                assert answer.json()["accepted"] == 1
                acknowledged.append(event_id)
                if len(acknowledged) >= 40:
                    enough.set()

    with running(own_workspace) as server:
        senders = [threading.Thread(target=send, args=(name, server.url)) for name in "abcd"]
        for sender in senders:
            sender.start()
        assert enough.wait(60)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
        for sender in senders:
            sender.join(20)
    with start(own_workspace) as client:
        again = client.post("/v1/events", json=events_of(*acknowledged[:500])).json()
        assert again == {"accepted": 0, "duplicates": len(acknowledged[:500]), "degraded": False}
    train(own_workspace, TINY_CLOUD, 7, Silent())
    kept = events_in(own_workspace.events, "someone-new")
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    assert len(set(kept) - set(acknowledged)) <= 4, "one per sender may be kept without its sender having heard of it"
    (examples,) = own_workspace.examples.iterdir()
    assert sorted(events_in(examples / EVENTS, "someone-new")) == sorted(kept), "it learned from each of them, once"


def events_in(folder, user_id):
    """Returns the ids of a person's events in the Parquet files of a folder."""
    tables = [pq.ParquetFile(path).read(["event_id", "user_id"]) for path in folder.glob("*.parquet")]
    return [row["event_id"] for table in tables for row in table.to_pylist() if row["user_id"] == user_id]


def test_without_redis_people_are_known_as_the_last_training_knew_them(own_workspace, own_redis):
    wish = {"surface": "feed", "count": 5, "user_id": "u01"}
    newcomer = {"surface": "feed", "count": 5, "user_id": "someone-new"}
    with start(own_workspace, redis_url=own_redis.url) as client:
        trained = client.post("/v1/recommend", json=wish).json()
        unknown = client.post("/v1/recommend", json=newcomer).json()
        assert client.post("/v1/events", json=events_of("r-1")).json()["degraded"] is False
        known = client.post("/v1/recommend", json=newcomer).json()
        assert known["candidates"] != unknown["candidates"]
        own_redis.stop()
        assert client.post("/v1/recommend", json=wish).json() == {**trained, "degraded": True}
        assert client.post("/v1/recommend", json=newcomer).json() == {**unknown, "degraded": True}
        received = client.post("/v1/events", json=events_of("r-2", user_id="u01")).json()
        assert received == {"accepted": 1, "duplicates": 0, "degraded": True}
        refused = client.delete("/v1/users/u01")
        assert problem_of(refused, 503)["type"] == "urn:tandem:problem:store-away"
        assert refused.headers["retry-after"] == "1"
        assert client.post("/v1/recommend", json=WISH).json()["degraded"] is False
        own_redis.start()
        wait_until(lambda: client.post("/v1/recommend", json=newcomer).json() == known)
        assert client.delete("/v1/users/u01").json() == {"status": "forgotten"}


def test_a_deadline_that_passes_in_the_queue_is_told_and_the_next_request_is_answered(bundled_workspace):
    with start(bundled_workspace, num_threads=1) as client:
        release = threading.Event()
        busy = threading.Thread(target=client.app.state.service.workers.warm, args=(release.wait,))
        busy.start()
        answer = client.post("/v1/recommend", json=WISH, headers={"X-Deadline-Ms": "50"})
        release.set()
        busy.join()
        problem = problem_of(answer, 504)
        assert problem["type"] == "urn:tandem:problem:deadline"
        assert problem["detail"].startswith("Expected to answer within `X-Deadline-Ms`, got more to do than fits.")
        assert client.post("/v1/recommend", json=WISH, headers={"X-Deadline-Ms": "60000"}).status_code == 200


def test_who_would_wait_behind_a_full_queue_is_sent_away_at_once(bundled_workspace):
    with start(bundled_workspace, num_threads=1, max_queued=0) as client:
        release = threading.Event()
        busy = threading.Thread(target=client.app.state.service.workers.warm, args=(release.wait,))
        busy.start()
        blocked = threading.Thread(target=client.post, args=("/v1/recommend",), kwargs={"json": WISH})
        blocked.start()
        while client.app.state.service.workers.pending == 0:
            blocked.join(0.01)
        answer = client.post("/v1/recommend", json=WISH)
        release.set()
        busy.join()
        blocked.join()
    assert problem_of(answer, 429)["type"] == "urn:tandem:problem:overload"
    assert answer.headers["retry-after"] == "1"
