from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.cascade.cloud import CloudModel
from recsys.cascade.rerank import QueryEncoder, Reranker, pad_vectors
from recsys.contracts.bundle import DEVICE_TOWER_FILE, QUERY_TOWER_FILE
from recsys.contracts.catalogue import Room
from recsys.contracts.events import Surface
from recsys.errors import BundleError, ContractError
from recsys.runtime.tower import Tower
from recsys.storage.registry import BundleRegistry
from tests.bundles import bundled_workspace  # noqa: F401

NOTHING = np.zeros(0, np.int32)


@pytest.fixture(scope="module")
def bundle(bundled_workspace):  # noqa: F811
    return BundleRegistry(bundled_workspace).current()


@pytest.fixture(scope="module")
def cloud(bundle):
    return CloudModel.load(bundle)


def test_candidates_are_distinct_on_the_surface_and_fall_by_score(cloud):
    history = np.asarray([3, 5, 8], np.int32)
    proposal = cloud.propose(cloud.encode(history), history, Surface.FEED, 50, 0, history)
    assert len(proposal.item_indexes) == len(set(proposal.item_indexes.tolist())) == 50
    assert cloud.catalogue.on_surface(Surface.FEED)[proposal.item_indexes].all()
    assert (np.diff(proposal.scores) <= 0).all()
    assert proposal.room_ids == (None,) * 50


def test_excluded_items_are_not_proposed(cloud):
    query = cloud.encode(NOTHING)
    first = cloud.propose(query, NOTHING, Surface.FEED, 10, 0, NOTHING).item_indexes
    second = cloud.propose(query, NOTHING, Surface.FEED, 10, 0, first).item_indexes
    assert not set(first.tolist()) & set(second.tolist())


def test_a_closed_room_is_never_served(cloud, bundled_workspace):  # noqa: F811
    rooms = {row["room_id"]: Room(**row) for row in pq.read_table(bundled_workspace.rooms).to_pylist()}
    span = (min(room.start_ms for room in rooms.values()), max(room.end_ms or 0 for room in rooms.values()))

    @given(st.integers(span[0] - 10, span[1] + 10))
    def check(now_ms):
        proposal = cloud.propose(cloud.encode(NOTHING), NOTHING, Surface.LIVE, 100, now_ms, NOTHING)
        opened = {room.item_id for room in rooms.values() if room.is_open(now_ms)}
        assert set(cloud.catalogue.ids_of(proposal.item_indexes)) == opened
        assert all(rooms[room_id].is_open(now_ms) for room_id in proposal.room_ids)

    check()


def test_before_the_first_room_opens_the_live_feed_is_empty(cloud):
    proposal = cloud.propose(cloud.encode(NOTHING), NOTHING, Surface.LIVE, 10, 0, NOTHING)
    assert (proposal.item_indexes.tolist(), proposal.scores.tolist(), proposal.room_ids) == ([], [], ())


@pytest.mark.parametrize("query", [np.zeros(3, np.float32), np.full(16, np.nan, np.float32)])
def test_a_query_of_another_length_or_not_finite_is_refused(cloud, query):
    with pytest.raises(ContractError, match="a finite query vector of length 16, got"):
        cloud.propose(query, NOTHING, Surface.FEED, 10, 0, NOTHING)


def test_an_empty_history_has_a_finite_query_vector(cloud):
    assert np.isfinite(cloud.encode(NOTHING)).all()


def test_only_the_last_items_of_a_long_history_are_read(bundle, cloud):
    encoder = QueryEncoder(bundle.read_bytes(QUERY_TOWER_FILE))
    history = cloud.vectors[1:41]
    assert encoder.history_length == 20
    assert np.array_equal(encoder.encode(history), encoder.encode(history[-20:]))


def test_a_score_does_not_depend_on_the_scale_of_the_cloud_scores(bundle, cloud):
    reranker = Reranker(bundle.read_bytes(DEVICE_TOWER_FILE))
    candidates, scores = cloud.vectors[1:11], np.linspace(1, 0, 10, dtype=np.float32)
    query, history = cloud.vectors[5], cloud.vectors[20:23]
    assert np.allclose(
        reranker.rerank(candidates, scores, query, history),
        reranker.rerank(candidates, 100 * scores + 7, query, history),
        atol=1e-4,
    )


def test_no_candidates_have_no_scores(bundle, cloud):
    reranker = Reranker(bundle.read_bytes(DEVICE_TOWER_FILE))
    assert reranker.rerank(cloud.vectors[:0], np.zeros(0, np.float32), cloud.vectors[1], cloud.vectors[:0]).shape == (
        0,
    )


def test_arguments_that_do_not_fit_each_other_are_refused(bundle, cloud):
    reranker = Reranker(bundle.read_bytes(DEVICE_TOWER_FILE))
    with pytest.raises(ContractError, match=r"got \[3, 16\], \[2\] and \[16\]"):
        reranker.rerank(cloud.vectors[1:4], np.zeros(2, np.float32), cloud.vectors[1], cloud.vectors[:0])


def test_histories_are_padded_on_the_left():
    padded, mask = pad_vectors(np.asarray([[1.0], [2.0]], np.float32), 3)
    assert (padded.ravel().tolist(), mask.tolist()) == ([0.0, 1.0, 2.0], [0.0, 1.0, 1.0])
    with pytest.raises(ContractError, match=r"`history` \[num_items, dim\], got \[2\]"):
        pad_vectors(np.zeros(2, np.float32), 3)


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(BundleError, match="Expected a LiteRT model, got 4 bytes that are none"):
        Tower(b"none", "encode")


def test_a_missing_signature_and_wrong_inputs_are_named(bundle):
    model = bundle.read_bytes(QUERY_TOWER_FILE)
    with pytest.raises(BundleError, match=r"the signature 'rank' in the model, got \['encode'\]"):
        Tower(model, "rank")
    with pytest.raises(BundleError, match=r"Expected inputs \['history', 'history_mask'\] .* got \['query'\]"):
        Tower(model, "encode")(query=np.zeros(3, np.float32))
    with pytest.raises(BundleError, match="Expected the input 'query' of signature 'encode'"):
        Tower(model, "encode").input_shape("query")


def test_some_candidates_are_what_was_chosen_of_late_where_the_bundle_says_so(cloud):
    query = cloud.encode(NOTHING)
    mixed = dataclasses.replace(cloud, manifest=dataclasses.replace(cloud.manifest, num_recent=4))
    near = cloud.retrieve(query, Surface.FEED, 6, 0, NOTHING).item_indexes
    rest = cloud.catalogue.on_surface(Surface.FEED).copy()
    rest[near] = False
    recent = cloud.catalogue.most_recent(rest, 4)
    assert len(recent) == 4
    found = mixed.retrieve(query, Surface.FEED, 10, 0, NOTHING)
    assert set(found.item_indexes.tolist()) == {*near.tolist(), *recent.tolist()}
    np.testing.assert_allclose(found.scores, cloud.vectors[found.item_indexes] @ query, rtol=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    assert not set(mixed.retrieve(query, Surface.FEED, 10, 0, recent).item_indexes.tolist()) & set(recent.tolist())


def test_recent_items_of_a_closed_room_are_not_proposed_either(cloud):
    mixed = dataclasses.replace(cloud, manifest=dataclasses.replace(cloud.manifest, num_recent=5))
    assert len(mixed.retrieve(cloud.encode(NOTHING), Surface.LIVE, 10, 0, NOTHING).item_indexes) == 0
