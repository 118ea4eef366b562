from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from federated.device.device import Device, UplinkPolicy
from federated.device.log import PrivateLog
from federated.device.vector_cache import VectorCache
from recsys.cascade.rerank import QueryEncoder, Reranker
from recsys.contracts.bundle import DEVICE_TOWER_FILE, EMBEDDINGS_FILE, QUERY_TOWER_FILE
from recsys.contracts.events import Action, Event, Surface
from recsys.contracts.feed import Candidate, FeedResponse
from recsys.storage.registry import BundleRegistry
from recsys.storage.snapshot import read_snapshot
from tests.bundles import bundled_workspace  # noqa: F401


@pytest.fixture(scope="module")
def parts(bundled_workspace):  # noqa: F811
    bundle = BundleRegistry(bundled_workspace).current()
    snapshot = read_snapshot(bundle.read_bytes(EMBEDDINGS_FILE))
    encoder = QueryEncoder(bundle.read_bytes(QUERY_TOWER_FILE))
    return snapshot, encoder, Reranker(bundle.read_bytes(DEVICE_TOWER_FILE))


@pytest.fixture
def device(parts):
    snapshot, encoder, reranker = parts
    return Device("mid", PrivateLog("anna"), VectorCache(snapshot), encoder, reranker)


def click(item_id: str, moment: int) -> Event:
    return Event(f"e{moment}", "anna", item_id, Action.CLICK, Surface.FEED, moment)


def respond(item_ids: list[str]) -> FeedResponse:
    candidates = tuple(Candidate(item_id, float(-place)) for place, item_id in enumerate(item_ids))
    return FeedResponse(candidates, "v", "e")


def test_re_ranking_neither_adds_nor_drops_a_candidate(device, parts):
    response = respond(list(parts[0].item_ids[:30]))
    assert sorted(item.item_id for item in device.rerank(response)) == sorted(parts[0].item_ids[:30])


def test_what_was_chosen_leaves_the_feed_at_once_and_the_order_is_made_anew(device, parts):
    ids = list(parts[0].item_ids[:30])
    before = device.rerank(respond(ids))
    device.record(click(ids[3], 1))
    after = device.rerank(respond(ids))
    assert ids[3] not in {item.item_id for item in after}
    assert [item for item in before if item.item_id != ids[3]] != list(after)


def test_items_without_a_vector_stay_behind_in_the_cloud_s_order(device, parts):
    response = respond(["new-1", parts[0].item_ids[0], "new-2", parts[0].item_ids[1]])
    assert [item.item_id for item in device.rerank(response)][2:] == ["new-1", "new-2"]


def test_a_streamer_may_be_watched_again(device, parts):
    device.record(click(parts[0].item_ids[0], 1))
    live = FeedResponse((Candidate(parts[0].item_ids[0], 1.0, "room"),), "v", "e")
    assert device.rerank(live) == live.candidates


def test_nothing_of_the_private_log_is_reachable_from_a_request(device, parts):
    for moment, item_id in enumerate(parts[0].item_ids[:5]):
        device.record(click(item_id, moment + 1))
    request = asdict(device.request(Surface.FEED, 10, 0, np.random.default_rng(0)))
    vector = request.pop("query_vector")
    assert request == {
        "surface": "feed",
        "count": 10,
        "now_ms": 0,
        "user_id": None,
        "history": None,
        "exclude_ids": (),
    }
    assert np.allclose(vector, device.query())
    assert not any(item_id in json.dumps([request, vector]) for item_id in (*parts[0].item_ids, "anna"))


def test_noise_and_clipping_are_applied_before_the_vector_leaves(parts):
    snapshot, encoder, reranker = parts
    device = Device("mid", PrivateLog("anna"), VectorCache(snapshot), encoder, reranker, UplinkPolicy(0.01, 1.0))
    clipped = Device("mid", PrivateLog("anna"), VectorCache(snapshot), encoder, reranker, UplinkPolicy(0.01, 0.0))
    first, second = (device.request(Surface.FEED, 1, 0, np.random.default_rng(seed)).query_vector for seed in (0, 1))
    assert first != second
    norm = np.linalg.norm(clipped.request(Surface.FEED, 1, 0, np.random.default_rng(0)).query_vector)
    assert norm == pytest.approx(0.01, abs=1e-6)
