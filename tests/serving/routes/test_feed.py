from __future__ import annotations

import re
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.cascade.rerank import QueryEncoder, Reranker
from recsys.contracts.bundle import DEVICE_TOWER_FILE, QUERY_TOWER_FILE
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.exchange.message import decode_snapshot
from recsys.storage.session_store import SQLiteSessionStore
from tests.serving.conftest import metric, problem_of, start

WISH = {"surface": "feed", "count": 10}
DAY_MS = 86_400_000


def recommend(client, **body):
    response = client.post("/v1/recommend", json={**WISH, **body})
    assert response.status_code == 200, response.text
    return response.json()


def ids(answer):
    return [candidate["item_id"] for candidate in answer["candidates"]]


def consented(workspace):
    """Returns a person of the store and their history."""
    store = SQLiteSessionStore(workspace.state / "sessions.sqlite", max_items=200)
    history = store.recent("u01", 200)
    store.close()
    assert len(history) > 3
    return "u01", history


def test_the_answer_holds_what_was_asked_best_first_and_names_its_versions(client, bundle):
    answer = recommend(client, history=["i001"])
    scores = [candidate["score"] for candidate in answer["candidates"]]
    assert len(set(ids(answer))) == 10
    assert scores == sorted(scores, reverse=True)
    assert answer["bundle_version"] == bundle.manifest.version
    assert answer["embedding_version"] == bundle.manifest.embedding_version
    assert all(candidate["room_id"] is None for candidate in answer["candidates"])


def test_a_user_id_stands_for_the_consented_history_of_that_person(client, bundled_workspace):
    user_id, history = consented(bundled_workspace)
    assert recommend(client, user_id=user_id) == recommend(client, history=history)
    assert recommend(client, user_id=user_id) != recommend(client, history=[])


def test_somebody_unknown_gets_what_a_newcomer_gets(client):
    assert recommend(client, user_id="nobody-knows-me") == recommend(client, history=[])


def test_the_server_holds_no_history_where_nobody_wrote_one(own_workspace):
    (own_workspace.state / "sessions.sqlite").unlink()
    with start(own_workspace) as client:
        assert recommend(client, user_id="u01") == recommend(client, history=[])
    assert not (own_workspace.state / "sessions.sqlite").exists()


def test_a_longer_wish_begins_with_the_shorter_one(client):
    assert ids(recommend(client, history=["i001"], count=30))[:5] == ids(recommend(client, history=["i001"], count=5))


def test_excluded_items_are_not_proposed(client):
    best = ids(recommend(client, history=["i001"]))
    rest = ids(recommend(client, history=["i001"], exclude_ids=[*best[:3], "unknown"]))
    assert set(best[:3]).isdisjoint(rest)
    assert set(best[3:]) <= set(rest)


def test_a_catalogue_that_is_all_excluded_gives_an_empty_list(client, engine):
    answer = recommend(client, history=[], exclude_ids=list(engine.cloud.catalogue.item_ids))
    assert answer["candidates"] == []


def test_no_more_is_proposed_than_the_surface_has(client):
    assert len(recommend(client, history=[], count=500)["candidates"]) == 120


def test_a_device_asks_with_its_own_vector_and_reranks_as_the_hosted_service_does(client):
    """All that a device does, with nothing but what it downloads."""
    snapshot = decode_snapshot(client.get("/v1/embeddings/snapshot").content)
    files = {name: client.get(f"/v1/bundle/files/{name}").content for name in (QUERY_TOWER_FILE, DEVICE_TOWER_FILE)}
    history = ["i005", "i001", "i033"]
    past = vectors_of(snapshot, history)
    query = QueryEncoder(files[QUERY_TOWER_FILE]).encode(past)
    answer = recommend(client, query_vector=query.tolist())
    assert answer["embedding_version"] == snapshot.version

    scores = np.array([candidate["score"] for candidate in answer["candidates"]], np.float32)
    own = Reranker(files[DEVICE_TOWER_FILE]).rerank(vectors_of(snapshot, ids(answer)), scores, query, past)
    hosted = client.post("/v1/rerank", json={"history": history, "candidates": answer["candidates"]}).json()
    expected = [ids(answer)[row] for row in np.argsort(-own, kind="stable")]
    assert ids(hosted) == expected
    assert [candidate["score"] for candidate in hosted["candidates"]] == pytest.approx(np.sort(own)[::-1], abs=1e-5)


def vectors_of(snapshot: EmbeddingSnapshot, item_ids):
    return snapshot.vectors[[snapshot.item_ids.index(item_id) for item_id in item_ids]]


@given(data=st.data())
def test_a_closed_room_is_never_served_and_every_open_one_is(client, rooms, data):
    first = min(room.start_ms for room in rooms) - DAY_MS
    last = max(room.start_ms for room in rooms) + 2 * DAY_MS
    edges = [moment for room in rooms for moment in (room.start_ms, room.end_ms) if moment is not None]
    now_ms = data.draw(st.one_of(st.integers(first, last), st.sampled_from(edges)))
    answer = recommend(client, surface="live", count=50, now_ms=now_ms, history=[])
    opened = {room.room_id: room for room in rooms if room.is_open(now_ms)}
    served = {candidate["room_id"]: candidate["item_id"] for candidate in answer["candidates"]}
    assert set(served) <= set(opened)
    assert all(opened[room_id].item_id == item_id for room_id, item_id in served.items())
    assert set(served.values()) == {room.item_id for room in opened.values()}


def test_without_a_moment_the_servers_clock_decides_which_rooms_are_open(client, rooms):
    """The world lies in the past: of its rooms only those without an end are open today."""
    answer = recommend(client, surface="live", count=50, history=[])
    today = time.time_ns() // 1_000_000
    expected = {room.room_id for room in rooms if room.is_open(today)}
    assert {candidate["room_id"] for candidate in answer["candidates"]} == expected


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ({}, "got none"),
        ({"user_id": "u", "history": []}, r"got \['user_id', 'history'\]"),
        ({"user_id": "u", "history": [], "query_vector": [0.0] * 16}, r"'query_vector'\]"),
    ],
)
def test_a_person_is_described_in_exactly_one_way(client, body, got):
    problem = problem_of(client.post("/v1/recommend", json={**WISH, **body}), 422)
    assert problem["type"] == "urn:tandem:problem:contract"
    assert problem["detail"].startswith("Expected exactly one of `user_id`, `history`, `query_vector`")
    assert re.search(got, problem["detail"])


def test_a_vector_of_another_length_is_refused_with_both_lengths(client):
    problem = problem_of(client.post("/v1/recommend", json={**WISH, "query_vector": [0.5] * 8}), 422)
    assert "query vector of length 16, got [8]" in problem["detail"]


def test_a_vector_at_the_bounds_of_what_may_be_sent_gives_numbers(client):
    answer = recommend(client, query_vector=[1e4, -1e4] * 8)
    assert np.isfinite([candidate["score"] for candidate in answer["candidates"]]).all()


def test_counts_are_bounded_by_the_contract_and_by_the_settings(client, bundled_workspace):
    assert "from 1 to 500, got 501" in problem_of(recommend_raw(client, 501), 422)["detail"]
    assert "greater than or equal to 1" in problem_of(recommend_raw(client, 0), 422)["detail"]
    with start(bundled_workspace, max_candidates=20) as narrow:
        assert recommend_raw(narrow, 20).status_code == 200
        assert "from 1 to 20, got 21" in problem_of(recommend_raw(narrow, 21), 422)["detail"]


def recommend_raw(client, count):
    return client.post("/v1/recommend", json={**WISH, "count": count, "history": []})


def rerank(client, history, candidates):
    response = client.post("/v1/rerank", json={"history": history, "candidates": candidates})
    assert response.status_code == 200, response.text
    return response.json()


def listed(item_ids):
    return [{"item_id": item_id, "score": -float(place)} for place, item_id in enumerate(item_ids)]


@given(
    item_ids=st.lists(st.sampled_from([f"i{number:03d}" for number in range(1, 141)]), unique=True, max_size=40),
    history=st.lists(st.sampled_from(["i001", "i050", "s03", "unknown"]), max_size=30),
)
def test_reranking_keeps_every_candidate_once_known_ones_by_falling_score(client, item_ids, history):
    """Ids above i120 are unknown to the catalogue."""
    answer = rerank(client, history, listed(item_ids))
    known = [candidate for candidate in answer["candidates"] if candidate["known"]]
    assert sorted(ids(answer)) == sorted(item_ids)
    assert {candidate["item_id"] for candidate in known} == {item_id for item_id in item_ids if item_id <= "i120"}
    scores = [candidate["score"] for candidate in known]
    assert scores == sorted(scores, reverse=True)


def test_unknown_items_stand_at_the_end_in_the_order_they_came_and_change_nothing_else(client):
    plain = rerank(client, ["i005"], listed(["i001", "i002", "i003"]))
    mixed = [
        {"item_id": "z", "score": 99.0},
        *listed(["i001", "i002", "i003"]),
        {"item_id": "a", "score": -99.0, "room_id": "r"},
    ]
    answer = rerank(client, ["i005", "unknown"], mixed)
    assert answer["candidates"][:3] == plain["candidates"]
    assert answer["candidates"][3:] == [
        {"item_id": "z", "score": None, "room_id": None, "known": False, "reason": None},
        {"item_id": "a", "score": None, "room_id": "r", "known": False, "reason": None},
    ]


def test_a_candidate_keeps_its_room(client):
    candidates = [{"item_id": "s01", "score": 1.0, "room_id": "r-s01-1"}, {"item_id": "s02", "score": 0.0}]
    answer = rerank(client, [], candidates)
    rooms = {candidate["item_id"]: candidate["room_id"] for candidate in answer["candidates"]}
    assert rooms == {"s01": "r-s01-1", "s02": None}


def test_recent_behaviour_moves_the_order(client):
    candidates = listed([f"i{number:03d}" for number in range(1, 41)])
    assert ids(rerank(client, ["i040"], candidates)) != ids(rerank(client, ["i007"], candidates))


def test_only_the_place_of_the_clouds_scores_within_the_list_matters(client):
    candidates = listed(["i001", "i002", "i003", "i004"])
    shifted = [{**candidate, "score": 1000.0 + 7.0 * candidate["score"]} for candidate in candidates]
    assert ids(rerank(client, ["i009"], candidates)) == ids(rerank(client, ["i009"], shifted))


def test_an_empty_list_comes_back_empty(client):
    assert rerank(client, ["i001"], [])["candidates"] == []


def test_a_list_beyond_the_limit_is_refused(bundled_workspace):
    with start(bundled_workspace, max_candidates=3) as client:
        assert len(rerank(client, [], listed(["i001", "i002", "i003"]))["candidates"]) == 3
        response = client.post("/v1/rerank", json={"history": [], "candidates": listed(["a", "b", "c", "d"])})
        assert "Expected at most 3 candidates, got 4" in problem_of(response, 422)["detail"]


def test_a_candidate_that_comes_twice_is_refused(client):
    response = client.post("/v1/rerank", json={"history": [], "candidates": listed(["i001", "i002", "i001"])})
    problem = problem_of(response, 422)
    assert problem["detail"] == "#/candidates: Expected distinct candidates, got an item id again at position 2."
    assert problem["errors"] == [
        {
            "detail": "Expected distinct candidates, got an item id again at position 2.",
            "pointer": "#/candidates",
        }
    ]


def test_beyond_the_queue_the_answer_is_to_come_back_later(bundled_workspace):
    with start(bundled_workspace, num_threads=1, max_queued=0) as client:
        release, running = threading.Event(), threading.Event()

        def occupy():
            running.set()
            release.wait(10)

        workers = client.app.state.service.workers
        busy = client.portal.start_task_soon(workers.run, occupy)
        assert running.wait(10)
        response = recommend_raw(client, 1)
        release.set()
        busy.result(10)
        problem = problem_of(response, 429)
        assert response.headers["retry-after"] == "1"
        assert problem["type"] == "urn:tandem:problem:overload"
        assert "Expected at most 1 requests at once" in problem["detail"]
        assert recommend_raw(client, 1).status_code == 200


def test_the_stages_of_a_request_are_timed(bundled_workspace):
    with start(bundled_workspace) as client:
        recommend(client, user_id="u01")
        rerank(client, [], listed(["i001"]))
        stages = {"/v1/recommend": ("queue", "session", "encode", "propose"), "/v1/rerank": ("queue", "rerank")}
        for route, names in stages.items():
            for name in names:
                assert metric(client, f'tandem_stage_seconds_count{{route="{route}",stage="{name}"}}') == 1.0
        assert metric(client, "tandem_batch_size_sum") == 1.0
