import dataclasses

import numpy as np
import pytest

from federated.device.device import Device, UplinkPolicy
from federated.device.gate import Order
from federated.device.log import PrivateLog
from federated.device.memory import ChoiceMemory, SeenChoice
from federated.device.training import LocalTrainer
from federated.device.vector_cache import VectorCache
from recsys.cascade.rerank import QueryEncoder, Reranker
from recsys.config.federated import DeviceSettings, PersonalSettings
from recsys.contracts.bundle import (
    DEVICE_TOWER_FILE,
    DEVICE_TRAINING_FILE,
    EMBEDDINGS_FILE,
    QUERY_TOWER_FILE,
    QUERY_TOWER_INT8_FILE,
)
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.events import Action, Event, Surface
from recsys.contracts.feed import Candidate, FeedResponse
from recsys.errors import ContractError
from recsys.storage.registry import BundleRegistry
from recsys.storage.snapshot import read_snapshot
from tests.bundles import bundled_workspace  # noqa: F401


@pytest.fixture(scope="module")
def bundle(bundled_workspace):  # noqa: F811
    return BundleRegistry(bundled_workspace).current()


@pytest.fixture(scope="module")
def snapshot(bundle):
    return read_snapshot(bundle.read_bytes(EMBEDDINGS_FILE))


@pytest.fixture
def device(bundle, snapshot):
    return Device(
        tier="mid",
        log=PrivateLog("ada"),
        cache=VectorCache(snapshot),
        encoder=QueryEncoder(bundle.read_bytes(QUERY_TOWER_FILE)),
        reranker=Reranker(bundle.read_bytes(DEVICE_TOWER_FILE)),
    )


def tap(item_id, number=1, action=Action.CLICK, user_id="ada"):
    return Event(f"e{number}", user_id, item_id, action, Surface.FEED, 1_000 + number)


def answer(item_ids, room_ids=None):
    rooms = room_ids or [None] * len(item_ids)
    candidates = [
        Candidate(item_id, float(-place), room)
        for place, (item_id, room) in enumerate(zip(item_ids, rooms, strict=True))
    ]
    return FeedResponse(tuple(candidates), "0001-000000000000", "any")


def ids(candidates):
    return [candidate.item_id for candidate in candidates]


def test_the_query_is_the_query_towers_view_of_the_private_history(device, snapshot):
    for number, item_id in enumerate(snapshot.item_ids[:3]):
        device.record(tap(item_id, number))
    np.testing.assert_array_equal(device.query(), device.encoder.encode(snapshot.vectors[:3]))


def test_a_device_may_run_on_the_int8_query_tower(device, bundle, snapshot):
    device.record(tap(snapshot.item_ids[0]))
    small = dataclasses.replace(device, encoder=QueryEncoder(bundle.read_bytes(QUERY_TOWER_INT8_FILE)))
    np.testing.assert_allclose(small.query(), device.query(), atol=0.05 * np.linalg.norm(device.query()))
    rng = np.random.default_rng(1)
    assert len(small.request(Surface.FEED, 3, 0, rng).query_vector) == snapshot.dim


def test_an_impression_does_not_move_the_query(device, snapshot):
    device.record(tap(snapshot.item_ids[0], 1))
    before = device.query()
    device.record(tap(snapshot.item_ids[1], 2, Action.IMPRESSION))
    np.testing.assert_array_equal(device.query(), before)


def test_an_item_without_a_vector_does_not_move_the_query(device, snapshot):
    device.record(tap(snapshot.item_ids[0], 1))
    before = device.query()
    device.record(tap("brand new", 2))
    np.testing.assert_array_equal(device.query(), before)


def test_a_device_without_a_history_asks_and_reranks(device, snapshot):
    assert np.isfinite(device.query()).all()
    assert sorted(ids(device.rerank(answer(snapshot.item_ids[:5])))) == sorted(snapshot.item_ids[:5])


def test_reranking_neither_adds_nor_drops_nor_alters_a_candidate(device, snapshot):
    response = answer(snapshot.item_ids[:20])
    assert set(device.rerank(response)) == set(response.candidates)


def test_the_order_is_that_of_the_device_tower(device, snapshot):
    device.record(tap(snapshot.item_ids[30]))
    item_ids = snapshot.item_ids[:20]
    scores = device.reranker.rerank(
        snapshot.vectors[:20], -np.arange(20, dtype=np.float32), device.query(), snapshot.vectors[30:31]
    )
    expected = [item_ids[place] for place in np.lexsort((np.arange(20), -scores))]
    assert ids(device.rerank(answer(item_ids))) == expected


def test_every_tap_changes_the_order_without_a_further_call(device, snapshot):
    response = answer(snapshot.item_ids[:60])
    orders = [ids(device.rerank(response))]
    for number in range(4):
        device.record(tap(snapshot.item_ids[100 + number], number))
        orders.append(ids(device.rerank(response)))
    assert len({tuple(order) for order in orders}) == 5


def test_what_was_chosen_leaves_the_feed_but_a_streamer_may_be_watched_again(device, snapshot):
    item_ids = snapshot.item_ids[:4]
    device.record(tap(item_ids[1]))
    assert sorted(ids(device.rerank(answer(item_ids)))) == sorted({*item_ids} - {item_ids[1]})
    live = answer(item_ids, room_ids=["r0", "r1", "r2", "r3"])
    assert sorted(ids(device.rerank(live))) == sorted(item_ids)


def test_candidates_without_a_vector_keep_the_clouds_order_behind_the_others(device, snapshot):
    response = answer(["new b", snapshot.item_ids[0], "new a", snapshot.item_ids[1]])
    assert ids(device.rerank(response))[2:] == ["new b", "new a"]


def test_a_list_of_strangers_stays_as_the_cloud_sent_it(device):
    assert ids(device.rerank(answer(["y", "x", "z"]))) == ["y", "x", "z"]


def test_an_empty_list_stays_empty(device):
    assert device.rerank(answer([])) == ()


def test_a_request_carries_the_query_vector_and_nothing_else_of_the_log(device, snapshot):
    for number in range(3):
        device.record(tap(snapshot.item_ids[number], number))
    request = device.request(Surface.FEED, 100, 5_000, np.random.default_rng(0))
    assert request.query_vector == tuple(device.query().tolist())
    others = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
        if field.name not in ("query_vector", "surface", "count", "now_ms")
    }
    assert others == {"user_id": None, "history": None, "exclude_ids": ()}


def test_the_uplink_policy_clips_what_leaves(device):
    device.uplink = UplinkPolicy(clip_norm=0.01)
    request = device.request(Surface.FEED, 100, 5_000, np.random.default_rng(0))
    assert np.linalg.norm(request.query_vector) == pytest.approx(0.01, rel=1e-5)


def test_somebody_elses_event_is_refused(device):
    with pytest.raises(ContractError, match="Expected an event of 'ada', got one of 'bob'"):
        device.record(tap("x", user_id="bob"))


def test_new_vectors_are_used_as_soon_as_they_are_here(device, snapshot):
    device.record(tap(snapshot.item_ids[0]))
    before = device.query()
    device.cache.replace(EmbeddingSnapshot(snapshot.item_ids, snapshot.vectors[::-1].copy()))
    assert not np.allclose(device.query(), before)


def use(device, snapshot, choose, count=24):
    """From lists of 12, each drawn anew, the person takes the place that `choose` names of the cloud's order."""
    rng = np.random.default_rng(3)
    for number in range(count):
        response = answer([snapshot.item_ids[place] for place in rng.choice(len(snapshot.item_ids), 12, replace=False)])
        device.rerank(response)
        device.record(tap(response.candidates[choose].item_id, number))


def learn(device, bundle, **personal):
    settings = PersonalSettings(learning_rate=0.3, local_epochs=30, **{"fallback": "cloud", **personal})
    return device.learn(bundle.read_bytes(DEVICE_TRAINING_FILE), DeviceSettings(), settings, np.random.default_rng(0))


def test_a_device_learns_from_the_lists_that_its_person_chose_from(device, bundle, snapshot):
    use(device, snapshot, choose=-1)
    assert len(device.memory) > 15  # some lists hold nothing new at that place
    update = learn(device, bundle)
    assert update.losses[-1] < update.losses[0] / 2
    assert device.order is Order.PERSONAL
    response = answer(snapshot.item_ids[50:62])
    device.log = PrivateLog("ada")
    assert ids(device.rerank(response))[0] in snapshot.item_ids[58:62]


def test_where_the_cloud_is_always_right_the_device_keeps_its_order(device, bundle, snapshot):
    use(device, snapshot, choose=0)
    learn(device, bundle)
    assert device.order is Order.CLOUD
    response = answer(["new b", *snapshot.item_ids[50:62]])
    chosen = set(device.log.positives())
    assert ids(device.rerank(response)) == [item_id for item_id in ids(response.candidates) if item_id not in chosen]


def test_a_device_that_has_seen_nothing_keeps_the_clouds_order(device, bundle):
    start = learn(device, bundle).weights
    np.testing.assert_array_equal(start, LocalTrainer(bundle.read_bytes(DEVICE_TRAINING_FILE)).start)
    assert device.order is Order.CLOUD


def test_a_device_that_has_seen_nothing_keeps_the_global_tower_where_that_is_the_usual_one(device, bundle):
    learn(device, bundle, fallback="global")
    assert device.order is Order.GLOBAL


def test_only_choices_out_of_a_list_are_kept(device, snapshot):
    device.rerank(answer(snapshot.item_ids[:5]))
    device.record(tap(snapshot.item_ids[9], 1))
    device.record(tap(snapshot.item_ids[1], 2, Action.IMPRESSION))
    assert len(device.memory) == 0
    device.record(tap(snapshot.item_ids[1], 3))
    device.record(tap(snapshot.item_ids[1], 3))
    assert len(device.memory) == 1


def test_what_is_kept_outlives_a_change_of_the_vectors(device, snapshot):
    device.record(tap(snapshot.item_ids[7], 0))
    device.rerank(answer([*snapshot.item_ids[:3], "gone"]))
    device.record(tap(snapshot.item_ids[1], 1))
    kept = list(snapshot.item_ids[1:])
    device.cache.replace(EmbeddingSnapshot(tuple(kept), snapshot.vectors[1:]))
    (choice,) = device.memory.choices(device.cache, device.encoder)
    assert choice.candidates.tolist() == [1, 2]
    assert choice.cloud_scores.tolist() == [-1.0, -2.0]
    assert (choice.item_index, choice.history.tolist()) == (1, [7])
    np.testing.assert_array_equal(choice.query, device.encoder.encode(snapshot.vectors[7:8]))


def test_a_choice_whose_item_has_no_vector_any_more_makes_no_example(device, snapshot):
    device.rerank(answer(snapshot.item_ids[:3]))
    device.record(tap(snapshot.item_ids[0], 1))
    device.cache.replace(EmbeddingSnapshot(snapshot.item_ids[1:], snapshot.vectors[1:]))
    assert list(device.memory.choices(device.cache, device.encoder)) == []


def test_a_full_memory_forgets_the_oldest():
    memory = ChoiceMemory(max_choices=2)
    for item_id in ("a", "b", "c"):
        memory.keep(SeenChoice(item_id, (), ()))
    assert len(memory) == 2


def test_what_was_chosen_before_is_not_shown_and_so_in_no_list_that_is_kept(device, snapshot):
    device.record(tap(snapshot.item_ids[0], 0))
    device.rerank(answer(snapshot.item_ids[:3]))
    device.record(tap(snapshot.item_ids[0], 1))
    assert len(device.memory) == 0
    device.record(tap(snapshot.item_ids[1], 2))
    (choice,) = device.memory.choices(device.cache, device.encoder)
    assert choice.candidates.tolist() == [2, 3]


def test_what_was_seen_before_a_choice_and_passed_over_is_kept_with_it(device, snapshot):
    device.rerank(answer(snapshot.item_ids[:5]))
    for number, place in enumerate((0, 1, 3)):
        device.record(tap(snapshot.item_ids[place], number, Action.IMPRESSION))
    device.record(tap(snapshot.item_ids[1], 3))
    device.rerank(answer(snapshot.item_ids[:5]))
    device.record(tap(snapshot.item_ids[3], 4))
    first, second = device.memory.choices(device.cache, device.encoder)
    assert first.passed_over.tolist() == [1, 4]
    assert second.passed_over.tolist() == [1]


def test_what_was_seen_is_forgotten_when_it_leaves_the_list(device, snapshot):
    device.rerank(answer(snapshot.item_ids[:3]))
    device.record(tap(snapshot.item_ids[0], 1, Action.IMPRESSION))
    device.rerank(answer(snapshot.item_ids[2:5]))
    device.rerank(answer(snapshot.item_ids[:5]))
    device.record(tap(snapshot.item_ids[2], 2))
    (choice,) = device.memory.choices(device.cache, device.encoder)
    assert choice.passed_over.tolist() == []
