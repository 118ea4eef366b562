"""What a hostile or broken client may send: each gets its own answer, and the next lawful request gets its own too."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.conftest import problem_of

JSON = {"Content-Type": "application/json"}
LAWFUL = {"surface": "feed", "count": 2, "history": ["i001"]}


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("recommend", '{"surface": "feed", "count": NaN, "history": []}', 422, "#/count"),
        ("recommend", '{"surface": "feed", "count": Infinity, "history": []}', 422, "#/count"),
        ("recommend", '{"surface": "feed", "count": 1e400, "history": []}', 422, "#/count"),
        ("recommend", '{"surface": "feed", "count": 1, "query_vector": [NaN]}', 422, "#/query_vector/0"),
        ("recommend", '{"surface": "feed", "count": 1, "query_vector": [1e39]}', 422, "#/query_vector/0"),
        ("recommend", '{"surface": "feed", "count": 1, "query_vector": []}', 422, r"of length 16, got [0]"),
        ("recommend", '{"surface": "feed", "count": 1, "query_vector": [[0.5]]}', 422, "#/query_vector/0"),
        ("recommend", '{"surface": "feed", "count": 1, "history": [["i001"]]}', 422, "#/history/0"),
        ("recommend", '{"surface": "feed", "count": 1, "history": null}', 422, "got none"),
        ("recommend", '{"surface": "feed", "count": 1, "user_id": "\\ud800"}', 422, "#/user_id"),
        ("recommend", '{"\\ud800": 1, "surface": "feed", "count": 1, "history": []}', 422, "unicode string"),
        ("recommend", '{"surface": {"$ne": 1}, "count": 1, "history": []}', 422, "#/surface"),
        ("recommend", '{"surface": "feed", "count": 1, "now_ms": 9e18, "history": []}', 422, "#/now_ms"),
        ("recommend", '{"surface": "feed", "count": 1, "now_ms": -5, "history": []}', 422, "#/now_ms"),
        ("recommend", "[]", 422, "Expected a JSON object"),
        ("recommend", "null", 422, "Expected a JSON object"),
        ("recommend", '"feed"', 422, "Expected a JSON object"),
        ("recommend", "\x00\x01\x02", 400, "cannot be read"),
        ("recommend", '{"a":' * 20_000, 400, "cannot be read"),
        ("rerank", '{"history": [], "candidates": [{"item_id": "a", "score": NaN}]}', 422, "#/candidates/0/score"),
        ("rerank", '{"history": [], "candidates": [{"item_id": "a", "score": -Infinity}]}', 422, "finite"),
        ("rerank", '{"history": [], "candidates": [{"item_id": "a", "score": 1e300}]}', 422, "less than or equal"),
        ("rerank", '{"history": [], "candidates": [{"item_id": "a"}]}', 422, "#/candidates/0/score"),
        ("rerank", '{"history": [], "candidates": {"a": 1}}', 422, "#/candidates"),
        ("rerank", '{"candidates": []}', 422, "#/history"),
    ],
)
def test_each_gets_its_answer_and_the_server_is_unharmed(client, path, body, status, word):
    problem = problem_of(client.post(f"/v1/{path}", content=body, headers=JSON), status)
    assert word in problem["detail"]
    assert client.post("/v1/recommend", json=LAWFUL).status_code == 200


def test_bytes_that_are_no_text_are_refused(client):
    problem_of(client.post("/v1/recommend", content=b"\xff\xfe{}", headers=JSON), 400)


def test_keys_given_twice_count_once(client):
    body = '{"surface": "live", "surface": "feed", "count": 2, "history": []}'
    response = client.post("/v1/recommend", content=body, headers=JSON)
    assert all(candidate["room_id"] is None for candidate in response.json()["candidates"])


def test_ids_are_data_and_nothing_else(client):
    """Text that would mean something to SQL, a shell, a path or a log is looked up like any other id."""
    newcomer = client.post("/v1/recommend", json={**LAWFUL, "history": []}).json()
    for user_id in ("' OR 1=1 --", "../../keys", "$(reboot)", "%s%n", "u01\n{}", "\x00", "‮", "u01 "):
        response = client.post("/v1/recommend", json={"surface": "feed", "count": 2, "user_id": user_id})
        assert response.json() == newcomer


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["feed", "i001"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["surface", "count", "now_ms", "history", "query_vector", "user_id", "exclude_ids", "candidates"]
)


@given(body=st.dictionaries(KEYS, VALUES, max_size=5), path=st.sampled_from(["/v1/recommend", "/v1/rerank"]))
def test_no_json_whatever_is_a_fault_of_the_server(client, body, path):
    response = client.post(path, content=json.dumps(body), headers=JSON)
    assert response.status_code in (200, 422)
    if response.status_code == 422:
        problem_of(response, 422)


@given(changes=st.dictionaries(KEYS, VALUES, min_size=1, max_size=2))
def test_no_change_to_a_lawful_request_is_either(client, changes):
    response = client.post("/v1/recommend", content=json.dumps({**LAWFUL, **changes}), headers=JSON)
    assert response.status_code in (200, 422)
