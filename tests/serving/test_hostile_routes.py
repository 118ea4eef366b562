"""What hostile or broken clients may send to the newer routes: each has its answer, in its own words."""

from __future__ import annotations

import json

import pytest

from tests.serving.conftest import problem_of, start

JSON = {"Content-Type": "application/json"}
VECTOR = [0.1] * 16
EVENT = {
    "event_id": "e-1",
    "user_id": "u",
    "item_id": "i001",
    "action": "click",
    "surface": "feed",
    "timestamp_ms": 1_700_000_000_000,
}


def retrieve(**change):
    return "retrieve", {"surface": "feed", "count": 5, "query_vector": VECTOR, **change}


def events(*changes, **more):
    return "events", {"consent": True, "events": [{**EVENT, **change} for change in changes or ({},)], **more}


def rerank(*item_ids, **more):
    candidates = [{"item_id": item_id, "score": 0.5} for item_id in item_ids]
    return "rerank", {"history": [], "candidates": candidates, **more}


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (retrieve(query_vector=[0.1] * 17), "Expected a finite query vector of length 16, got [17]"),
        (retrieve(query_vector=[float("nan")] * 16), "#/query_vector/0: Input should be a finite number"),
        (retrieve(query_vector=[0.1] * 5_000), "#/query_vector: List should have at most 4096 items"),
        (retrieve(query_vector=[1e4 + 1] * 16), "#/query_vector/0: Input should be less than or equal to 10000"),
        (retrieve(query_vector={"0": 0.1}), "#/query_vector: Input should be a valid"),
        (retrieve(count=10**30), "Expected `count` from 1 to 500, got 1000000000000000000000000000000"),
        (retrieve(exclude_ids=["x"] * 10_001), "#/exclude_ids: List should have at most 10000 items"),
        (retrieve(surface="../feed"), "#/surface: Input should be 'feed' or 'live'"),
        (rerank("i001", "i002", "i001"), "got an item id again at position 2"),
        (rerank(*(f"x{place}" for place in range(501))), "Expected at most 500 candidates, got 501"),
        (rerank("i001", explain="yes"), "#/explain: Input should be a valid boolean"),
        (rerank("i001", history=["i001"] * 1_001), "#/history: List should have at most 1000 items"),
        (rerank(""), "#/candidates/0/item_id: String should have at least 1 character"),
        (events(consent=False), "#/consent: Expected `true`, got another value"),
        (events(consent=1), "#/consent: Expected `true`, got another value"),
        (events({"timestamp_ms": -1}), "#/events/0/timestamp_ms: Input should be greater than or equal to"),
        (events({"timestamp_ms": 1_700_000_000_000_000}), "#/events/0/timestamp_ms: Input should be less than"),
        (events({}, {"action": "DROP TABLE"}), "#/events/1/action: Input should be 'impression'"),
        (events({"value": float("inf")}), "#/events/0/value: Input should be a finite number"),
        (events({"position": 40_000}), "#/events/0/position: Input should be less than or equal to 32767"),
        (events({"surface": "live"}), "#/events/0"),
        (events({"event_id": "x" * 129}), "#/events/0/event_id: String should have at most 128 characters"),
        (events({"is_admin": True}), "#/events/0/is_admin: Unknown key"),
        (events(*[{"event_id": f"e-{place}"} for place in range(501)]), "Expected at most 500 events, got 501"),
    ],
)
def test_each_is_refused_with_its_own_words(client, sent, word):
    path, body = sent
    problem = problem_of(client.post(f"/v1/{path}", content=json.dumps(body), headers=JSON), 422)
    assert word in problem["detail"]
    assert client.post("/v1/retrieve", json=retrieve()[1]).status_code == 200


@pytest.mark.parametrize("path", ["retrieve", "rerank", "events"])
@pytest.mark.parametrize("content", [b'{"events":' + b"[" * 30_000, b"\xff\xfe", b'{"count": 1' + b"0" * 5_000, b"{"])
def test_what_no_parser_reads_is_refused_by_every_route(client, path, content):
    problem = problem_of(client.post(f"/v1/{path}", content=content, headers=JSON), 400)
    assert problem["type"] == "urn:tandem:problem:json"


@pytest.mark.parametrize("path", ["retrieve", "rerank", "events"])
def test_what_is_too_large_is_refused_by_every_route(client, path):
    content = json.dumps({"events": ["x" * 2_000_000]}).encode()
    problem = problem_of(client.post(f"/v1/{path}", content=content, headers=JSON), 413)
    assert "at most 1048576 bytes" in problem["detail"]


@pytest.mark.parametrize("deadline", ["0", "-5", "1.5", "600001", "1e3", "٣", "soon", "9" * 400])
def test_a_deadline_that_is_none_is_refused(client, deadline):
    headers = {"X-Deadline-Ms": deadline.encode()}
    problem = problem_of(client.post("/v1/retrieve", json=retrieve()[1], headers=headers), 422)
    assert "Expected `X-Deadline-Ms` to be whole milliseconds from 1 to 600000" in problem["detail"]
    assert len(problem["detail"]) < 200


def test_an_event_that_is_replayed_counts_once_whatever_else_it_says(own_workspace):
    """Within a request, in the next one, and with other contents: the id decides, and the first one stands."""
    with start(own_workspace) as client:
        first = client.post("/v1/events", json=events({}, {}, {"item_id": "i002"})[1]).json()
        assert (first["accepted"], first["duplicates"]) == (1, 2)
        again = client.post("/v1/events", json=events({"user_id": "another"})[1]).json()
        assert (again["accepted"], again["duplicates"]) == (0, 1)


@pytest.mark.parametrize("user_id", ["..%2f..%2fkeys", "%00", "a%0Ab", "'%20OR%201=1%20--", "*", "%25"])
def test_only_who_is_named_is_forgotten(own_workspace, user_id):
    wish = {"surface": "feed", "count": 5, "user_id": "u01"}
    with start(own_workspace) as client:
        before = client.post("/v1/recommend", json=wish).json()
        answer = client.delete(f"/v1/users/{user_id}")
        assert answer.status_code in (200, 404, 422)
        assert client.post("/v1/recommend", json=wish).json() == before
        assert (own_workspace.keys).is_dir()


def test_an_id_that_is_too_long_is_nobodys(client):
    assert "at most 128 characters" in problem_of(client.delete(f"/v1/users/{'x' * 129}"), 422)["detail"]
