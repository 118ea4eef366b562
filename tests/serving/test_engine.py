from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from recsys.contracts import bundle as names
from recsys.contracts.events import Surface
from recsys.contracts.feed import FeedRequest
from recsys.errors import BundleError, ContractError
from recsys.storage.registry import BundleRegistry
from serving.engine import RANKED, Engine, Listed
from serving.observation import Stopwatch


def wish(**change):
    facts = {"surface": Surface.FEED, "count": 5, "now_ms": 0, "history": ("i001",)}
    return FeedRequest(**{**facts, **change})


def test_a_short_list_is_the_top_of_what_the_ranker_saw(engine):
    """The ranker learned from long lists: a wish for few must not make it rank only few."""
    query = engine.cloud.encode(engine.cloud.catalogue.index_of(["i001"]))
    history = engine.cloud.catalogue.index_of(["i001"])
    none = np.zeros(0, np.int32)
    proposal = engine.cloud.propose(query, history, Surface.FEED, RANKED, 0, none)
    answer = engine.recommend(wish(), ["i001"], Stopwatch())
    expected = engine.cloud.catalogue.ids_of(proposal.item_indexes[:5])
    assert [candidate.item_id for candidate in answer.candidates] == expected


def test_equal_requests_get_equal_answers(engine):
    first = engine.recommend(wish(), ["i001"], Stopwatch())
    assert engine.recommend(wish(), ["i001"], Stopwatch()) == first


def test_an_engine_that_is_let_go_is_gone_without_the_collector(bundle):
    """The server keeps the collector off what it has loaded, and exchanges bundles for as long as it runs."""
    loaded = Engine.load(bundle)
    loaded.warm()
    parts = [weakref.ref(part) for part in (loaded, loaded.cloud, loaded.cloud.index, loaded.reranker)]
    gc.disable()
    try:
        del loaded
        assert [part() for part in parts] == [None] * 4
    finally:
        gc.enable()


def test_stages_are_timed(engine):
    stopwatch = Stopwatch()
    engine.recommend(wish(), ["i001"], stopwatch)
    engine.rerank(Listed([], ["i001"], [0.0]), stopwatch)
    assert set(stopwatch.laps) == {"encode", "propose", "rerank"}
    assert all(seconds > 0 for seconds in stopwatch.laps.values())


def test_lists_of_a_batch_get_what_each_has_alone_to_the_last_bit(engine):
    ids = [f"i{number:03d}" for number in range(1, 61)]
    lists = [
        Listed(ids[:3], ids[10:40], [1.0 / place for place in range(1, 31)]),
        Listed([], ids[:30], list(range(30))),
        Listed([*ids, "unknown"], ["unknown", *ids[:29], "another"], [0.5] * 31),
        Listed(ids[5:9], ids[::2], [0.0] * 30),
        Listed(["unknown"], ["unknown"], [1.0]),
        Listed(ids[:1], [], []),
        Listed(ids[20:], ids[7:8], [-1.0]),
        Listed(ids[40:], list(reversed(ids)), [float(place % 7) for place in range(60)]),
    ]
    alone = [engine.rerank(one, Stopwatch()) for one in lists]
    for size in range(1, len(lists) + 1):
        for start in range(len(lists) - size + 1):
            together = engine.rerank_batch(lists[start : start + size], Stopwatch())
            assert together == alone[start : start + size]
    assert alone[2].unknown == [0, 30]
    assert alone[4:6] == [([], [], [0]), ([], [], [])]


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_scores_that_overflow_are_the_senders_fault(engine):
    vector = tuple([3e38] * 16)
    with pytest.raises(ContractError, match=r"Expected finite scores, got NaN or infinity"):
        engine.recommend(wish(history=None, query_vector=vector), (), Stopwatch())


def publish_with(workspace, files, **change):
    """Publishes the current bundle again with other files or facts; returns it opened."""
    registry = BundleRegistry(workspace)
    current = registry.current()
    manifest = current.manifest
    facts = {
        "dataset": manifest.dataset,
        "split_fingerprint": manifest.split_fingerprint,
        "embedding_version": manifest.embedding_version,
        "dim": manifest.dim,
        "history_length": manifest.history_length,
        "num_items": manifest.num_items,
    }
    merged = {**{name: current.path(name) for name in manifest.files}, **files}
    present = {name: content for name, content in merged.items() if content is not None}
    return registry.publish(present, **{**facts, **change})


def test_a_bundle_whose_vectors_are_not_the_version_it_names_is_refused(own_workspace):
    bundle = publish_with(own_workspace, {}, embedding_version="0123456789abcdef")
    with pytest.raises(BundleError, match="Expected vectors of version 0123456789abcdef in embeddings"):
        Engine.load(bundle)


@pytest.mark.parametrize("name", [names.DEVICE_TOWER_FILE, names.QUERY_TOWER_FILE, names.RANKER_FILE])
def test_a_bundle_without_a_tower_is_refused(own_workspace, name):
    with pytest.raises(BundleError, match=f"Expected the file '{name}'"):
        Engine.load(publish_with(own_workspace, {name: None}))


def test_a_bundle_of_the_time_before_the_int8_tower_is_served_without_it(own_workspace):
    engine = Engine.load(publish_with(own_workspace, {names.QUERY_TOWER_INT8_FILE: None}))
    assert list(engine.device_files) == [name for name in names.DEVICE_FILES if name != names.QUERY_TOWER_INT8_FILE]


def test_a_bundle_whose_tower_is_another_one_is_refused(own_workspace, bundle):
    swapped = {names.RANKER_FILE: bundle.read_bytes(names.DEVICE_TOWER_FILE)}
    with pytest.raises(BundleError, match="Expected the signature 'rank' in the model"):
        Engine.load(publish_with(own_workspace, swapped))
