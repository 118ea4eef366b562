from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.contracts.events import Surface
from recsys.errors import ContractError
from recsys.features.catalogue import VOCABULARY_SCHEMA, Catalogue, share_of_recent
from recsys.features.item_to_item import ITEM_TO_ITEM_SCHEMA, ItemToItem
from recsys.features.ranking import RANKING_FEATURES, ranking_features
from recsys.features.responses import Responses


def build_catalogue() -> Catalogue:
    rows = [
        {
            "item_id": "a",
            "surface": 0,
            "category_indexes": [1],
            "num_impressions": 10,
            "num_positives": 4,
            "num_recent": 1,
        },
        {
            "item_id": "b",
            "surface": 0,
            "category_indexes": [2, 1],
            "num_impressions": 0,
            "num_positives": 0,
            "num_recent": 0,
        },
        {
            "item_id": "s",
            "surface": 1,
            "category_indexes": [],
            "num_impressions": 5,
            "num_positives": 5,
            "num_recent": 5,
        },
    ]
    schema = VOCABULARY_SCHEMA.with_metadata({"num_categories": "2"})
    return Catalogue.from_vocabulary(pa.Table.from_pylist(rows, schema=schema))


def test_items_are_numbered_from_one_and_unknown_ones_are_zero():
    catalogue = build_catalogue()
    assert catalogue.index_of(["b", "nobody", "a"]).tolist() == [2, 0, 1]
    assert catalogue.ids_of(np.asarray([3, 1], np.int32)) == ["s", "a"]


def test_padding_belongs_to_no_surface():
    assert build_catalogue().on_surface(Surface.FEED).tolist() == [False, True, True, False]
    assert build_catalogue().on_surface(Surface.LIVE).tolist() == [False, False, False, True]


def test_the_tower_knows_an_item_by_its_index_only_where_training_saw_a_positive():
    assert build_catalogue().trained_indexes.tolist() == [0, 1, 0, 3]


def test_vectors_are_aligned_by_id_with_a_zero_row_for_padding():
    snapshot = EmbeddingSnapshot(("a", "b", "s"), np.asarray([[1], [2], [3]], np.float32))
    assert build_catalogue().align(snapshot).tolist() == [[0], [1], [2], [3]]


def test_a_missing_vector_is_named():
    snapshot = EmbeddingSnapshot(("a", "b"), np.ones((2, 1), np.float32))
    with pytest.raises(ContractError, match="got none for 1, the first 's'"):
        build_catalogue().align(snapshot)


def test_another_table_is_no_vocabulary():
    with pytest.raises(ContractError, match="Expected a vocabulary with columns"):
        Catalogue.from_vocabulary(pa.table({"item_id": ["a"]}))


def test_ranking_features_are_what_their_names_say():
    vectors = np.asarray([[0, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    rows = [{"kind": kind, "source": 1, "targets": [2], "weights": [0.5]} for kind in ("transitions", "ease")]
    statistics = ItemToItem.from_table(pa.Table.from_pylist(rows, schema=ITEM_TO_ITEM_SCHEMA), 3)
    features = ranking_features(
        candidates=np.asarray([[1, 2]], np.int32),
        scores=np.asarray([[3.0, 1.0]], np.float32),
        histories=np.asarray([[0, 1]], np.int32),
        catalogue=build_catalogue(),
        vectors=vectors,
        statistics=statistics,
        responses=Responses.unknown(build_catalogue()),
    )
    first = dict(zip(RANKING_FEATURES, features[0, 0].tolist(), strict=True))
    assert first["retrieval_score"] == 1.0
    assert first["log_positives"] == pytest.approx(np.log(5))
    assert first["log_recent"] == pytest.approx(np.log(2))
    assert first["click_rate"] == pytest.approx(5 / 24)  # (4 + 1) / (10 + 4 + 10)
    assert first["category_affinity"] == 1.0  # the whole history is of category 1
    assert first["max_similarity"] == pytest.approx(1.0)
    assert first["log_transitions"] == pytest.approx(np.log(1e-4))
    assert (first["transitions"], first["recent_ease"], first["raw_recent_ease"]) == (-1.0, -1.0, 0.0)
    assert first["co_occurrence"] == 0.0  # of a kind that was not counted
    second = dict(zip(RANKING_FEATURES, features[0, 1].tolist(), strict=True))
    assert second["category_affinity"] == 0.5  # category 1 counts, category 2 does not
    assert second["max_similarity"] == pytest.approx(0.0)
    assert second["log_transitions"] == pytest.approx(np.log(0.5 + 1e-4))  # item 1, the last chosen, speaks for item 2
    assert (second["transitions"], second["recent_ease"], second["raw_recent_ease"]) == (1.0, 1.0, 0.5)


def test_the_most_recent_are_those_chosen_of_late_and_allowed():
    catalogue = dataclasses.replace(build_catalogue(), recent=np.asarray([0, 2, 7, 7], np.float32))
    everything = np.ones(4, np.bool_)
    assert catalogue.most_recent(everything, 2).tolist() == [2, 3], "equal counts stand by index"
    assert catalogue.most_recent(np.asarray([True, True, False, True]), 2).tolist() == [3, 1]
    assert dataclasses.replace(catalogue, recent=np.zeros(4, np.float32)).most_recent(everything, 2).tolist() == []


@pytest.mark.parametrize(("num_recent", "count", "share"), [(0, 10, 0), (3, 10, 3), (9, 10, 5), (3, 1, 0)])
def test_at_most_half_of_a_list_is_what_was_chosen_of_late(num_recent, count, share):
    assert share_of_recent(num_recent, count) == share
