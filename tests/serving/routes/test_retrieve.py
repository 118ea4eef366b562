from __future__ import annotations

import numpy as np
import pytest

from serving.engine import Listed
from serving.observation import Stopwatch
from serving.reasons import explain
from tests.serving.conftest import problem_of

VECTOR = [round(0.1 * (place % 7) - 0.3, 2) for place in range(16)]


def test_the_nearest_items_come_by_their_inner_products(client, engine):
    answer = client.post("/v1/retrieve", json={"surface": "feed", "count": 10, "query_vector": VECTOR}).json()
    products = engine.cloud.vectors @ np.array(VECTOR, np.float32)
    allowed = np.flatnonzero(engine.cloud.catalogue.on_surface("feed"))
    nearest = allowed[np.argsort(-products[allowed], kind="stable")][:10]
    found = [candidate["item_id"] for candidate in answer["candidates"]]
    assert found == engine.cloud.catalogue.ids_of(nearest.astype(np.int32))
    assert [one["score"] for one in answer["candidates"]] == pytest.approx(products[nearest].tolist(), abs=1e-5)
    assert answer["embedding_version"] == engine.manifest.embedding_version


def test_excluded_items_are_not_retrieved(client):
    wish = {"surface": "feed", "count": 5, "query_vector": VECTOR}
    best = client.post("/v1/retrieve", json=wish).json()["candidates"][0]["item_id"]
    rest = client.post("/v1/retrieve", json={**wish, "exclude_ids": [best]}).json()["candidates"]
    assert best not in [candidate["item_id"] for candidate in rest]


def test_only_streamers_with_an_open_room_are_retrieved(client, rooms):
    now_ms = rooms[0].start_ms
    wish = {"surface": "live", "count": 50, "query_vector": VECTOR, "now_ms": now_ms}
    found = client.post("/v1/retrieve", json=wish).json()["candidates"]
    assert {one["room_id"] for one in found} == {room.room_id for room in rooms if room.is_open(now_ms)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_vector": [0.5] * 15}, "of length 16, got [15]"),
        ({"query_vector": ["x"] * 16}, "#/query_vector/0"),
        ({"count": 501}, "`count` from 1 to 500, got 501"),
        ({"count": 0}, "#/count"),
        ({"history": []}, "Unknown key"),
    ],
)
def test_what_is_no_wish_is_refused(client, change, message):
    wish = {"surface": "feed", "count": 5, "query_vector": VECTOR, **change}
    assert message in problem_of(client.post("/v1/retrieve", json=wish), 422)["detail"]


def rerank(client, history, item_ids, **more):
    candidates = [{"item_id": item_id, "score": -0.5 * place} for place, item_id in enumerate(item_ids)]
    response = client.post("/v1/rerank", json={"history": history, "candidates": candidates, **more})
    assert response.status_code == 200, response.text
    return response.json()["candidates"]


ITEMS = ["i003", "i010", "unknown", "i021", "i040"]


def test_without_being_asked_for_no_reason_is_given(client):
    assert [one["reason"] for one in rerank(client, ["i001"], ITEMS)] == [None] * 5


def test_reasons_change_neither_order_nor_scores(client):
    plain = rerank(client, ["i001", "i002"], ITEMS)
    explained = rerank(client, ["i001", "i002"], ITEMS, explain=True)
    assert [{**one, "reason": None} for one in explained] == plain


def test_a_reason_tells_both_places_and_what_a_list_without_the_behaviour_would_score(client):
    history = ["i001", "i002", "i007"]
    explained = rerank(client, history, ITEMS, explain=True)
    assert explained[-1]["item_id"] == "unknown"
    assert explained[-1]["reason"] is None
    known = explained[:-1]
    assert [one["reason"]["rank"] for one in known] == [0, 1, 2, 3]
    assert [ITEMS[one["reason"]["cloud_rank"]] for one in known] == [one["item_id"] for one in known]

    without = {left: centred(rerank(client, [item for item in history if item != left], ITEMS)) for left in history}
    whole, newcomer = centred(rerank(client, history, ITEMS)), centred(rerank(client, [], ITEMS))
    for one in known:
        item_id, reason = one["item_id"], one["reason"]
        assert reason["history_effect"] == pytest.approx(whole[item_id] - newcomer[item_id], abs=1e-5)
        effects = {behaviour["item_id"]: behaviour["effect"] for behaviour in reason["behaviours"]}
        expected = {left: whole[item_id] - without[left][item_id] for left in history}
        assert effects == pytest.approx(expected, abs=1e-5)
        sizes = [abs(behaviour["effect"]) for behaviour in reason["behaviours"]]
        assert sizes == sorted(sizes, reverse=True)


def centred(candidates):
    scores = {one["item_id"]: one["score"] for one in candidates if one["known"]}
    mean = sum(scores.values()) / len(scores)
    return {item_id: score - mean for item_id, score in scores.items()}


def test_the_scores_that_the_tower_was_given_are_standardised(client):
    known = rerank(client, ["i001"], ITEMS, explain=True)[:-1]
    for name in ("cloud_score", "own_score"):
        values = np.array([one["reason"][name] for one in known])
        assert (values.mean(), values.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-3))


def test_a_newcomer_has_no_behaviours_and_no_effect(client):
    for one in rerank(client, [], ITEMS, explain=True)[:-1]:
        assert (one["reason"]["behaviours"], one["reason"]["history_effect"]) == ([], 0.0)


def test_nothing_is_explained_where_nothing_is_known(engine):
    assert explain(engine, Listed(["i001"], ["unknown"], [0.5]), Stopwatch()) == {}
