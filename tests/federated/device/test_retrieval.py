from __future__ import annotations

import numpy as np
import pytest

from federated.device.retrieval import PrivateRetriever, SharedTables, pack_table
from federated.device.sequence import SequenceWeights
from recsys.config.federated import StrictSettings
from recsys.features.history import standardise

SETTINGS = StrictSettings(half_life=1.0, recency_floor=0.5, recency_half_life=1.0)
FOLLOWS = np.array([[0, 127, 0], [126, 0, 254], [0, 0, 0]], np.float32)
RECENT = np.array([[0, 127, 0], [0, 0, 127], [127, 0, 0]], np.float32)
TASTE = np.array([[0, 0, 127], [127, 0, 0], [0, 127, 0]], np.float32)
POPULARITY = np.array([3, 1, 2], np.float32)


@pytest.fixture
def retriever():
    return make_retriever(0, 1, 2)


def make_retriever(*kept):
    popularity = np.append(POPULARITY, np.zeros(max(kept) - 2)).astype(np.float32)
    tables = map(pack_table, (FOLLOWS, RECENT, TASTE))
    return PrivateRetriever(SharedTables(popularity, items(*kept), *tables), SETTINGS)


def items(*values):
    return np.array(values, np.int32)


def test_later_choices_vote_with_more_weight(retriever):
    # Item 1 was last and weighs 1, item 0 before it 1/2.
    assert retriever.follow(items(0, 1)).tolist() == [126, 63.5, 254]


def test_the_blend_adds_half_of_each_taste_to_what_follows(retriever):
    # Recency: item 1 weighs 1, item 0 1/2 + 1/4; the plain profile has each item once, however often it was chosen.
    follows, recent, taste = [126, 63.5, 254], [0, 95.25, 127], [127, 0, 127]
    expected = standardise(np.array(follows)) + 0.5 * (standardise(np.array(recent)) + standardise(np.array(taste)))
    np.testing.assert_allclose(retriever.blend(items(0, 1)), expected, rtol=1e-5)


def test_choices_that_are_too_long_ago_to_matter_change_nothing(retriever):
    np.testing.assert_array_equal(retriever.follow(items(2, *[0] * 30)), retriever.follow(items(1, *[0] * 30)))


def test_without_history_popularity_is_all_there_is(retriever):
    for score in (retriever.follow, retriever.blend):
        assert score(items()).tolist() == [3, 1, 2]


def test_items_that_are_too_rare_stand_last_by_popularity():
    # Items 0 and 2 are not kept, 1, 3 and 4 are places 0, 1 and 2; of the rare ones 3 devices chose item 0, 2 item 2.
    scores = make_retriever(1, 3, 4).follow(items(0, 1, 3))
    assert scores[[1, 3, 4]].tolist() == [126, 63.5, 254]
    np.testing.assert_allclose(scores[[0, 2]], [63.5 - 1 / 4, 63.5 - 1 / 3])


def make_tower():
    """It asks for what is like the last choice: item 0 and item 1 are, item 2 is the opposite."""
    return SequenceWeights(
        rows=np.float32([[1, 1], [1, 0.5], [-1, -1]]),
        biases=np.zeros(3, np.float32),
        queries=np.zeros((1, 2, 1), np.float32),
        keys=np.zeros((1, 2, 1), np.float32),
        values=np.eye(2, dtype=np.float32)[None],
        recency=np.zeros((1, 1), np.float32),
        hidden=np.zeros((2, 1), np.float32),
        hidden_biases=np.zeros(1, np.float32),
        output=np.zeros((1, 2), np.float32),
        sharpness=np.float32(0),
    )


def test_a_tower_is_asked_by_places_of_what_is_kept():
    # Items 1, 3 and 4 are places 0, 1 and 2; items 0 and 2 are rare, and stand last. The last common choice is item 1.
    scores = make_retriever(1, 3, 4).ask(items(4, 1, 2), make_tower())
    np.testing.assert_allclose(scores[[1, 3, 4]], [2, 1.5, -2], rtol=1e-5)
    np.testing.assert_allclose(scores[[0, 2]], [-2 - 1 / 4, -2 - 1 / 3], rtol=1e-5)


def test_the_blend_and_so_much_of_a_tower_add_up_both_standardised(retriever):
    history = items(1, 0)
    expected = standardise(retriever.blend(history)) + 0.7 * standardise(np.float32([2, 1.5, -2]))
    np.testing.assert_allclose(retriever.blend_with(history, make_tower(), 0.7), expected, rtol=1e-4)


def test_a_history_of_rare_items_alone_is_as_none():
    assert make_retriever(1, 3, 4).blend(items(0, 2)).tolist() == [3, 1, 2, 0, 0]
    assert make_retriever(1, 3, 4).ask(items(0, 2), make_tower()).tolist() == [3, 1, 2, 0, 0]


def test_a_table_in_bytes_is_off_by_half_a_scale_at_most():
    rows = np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)
    table = pack_table(rows)
    assert np.abs(table.codes * table.scales[:, None] - rows).max() <= table.scales.max() / 2 * 1.001
    assert table.size_bytes == 50 * 50 + 50 * 4


def test_a_row_of_nothing_stays_nothing():
    assert not pack_table(np.zeros((3, 3), np.float32)).vote(items(0, 1), np.ones(2, np.float32)).any()
