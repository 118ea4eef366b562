import numpy as np
import pytest

from pipelines.training.examples import read_catalogue, read_sequences
from recsys.errors import TrainingError
from tests.pipelines.training.conftest import write_events, write_vocabulary

ROWS = [
    ("anna", 3, "impression", 0, 0),
    ("anna", 3, "click", 0, 0),
    ("anna", 3, "like", 0, 0),
    ("anna", 5, "rating", 0, 0),
    ("anna", 4, "dislike", 0, 0),
    ("anna", 3, "follow", 1, 1),
    ("bert", 0, "click", 0, 0),
    ("bert", 3, "gift", 1, 1),
]


def test_sequences_hold_known_positive_items_in_order_and_an_item_that_follows_itself_once(tmp_path):
    sequences = read_sequences(write_events(tmp_path, ROWS))
    assert sequences.offsets.tolist() == [0, 3, 4]
    assert sequences.items.tolist() == [3, 5, 3, 3]
    assert sequences.is_validation.tolist() == [False, False, True, True]
    assert sequences.train_ends.tolist() == [2, 3]


def test_the_order_of_shards_does_not_matter(tmp_path):
    whole = read_sequences(write_events(tmp_path / "whole", ROWS))
    write_events(tmp_path / "parts", [row for row in ROWS if row[0] == "bert"], "part-0.parquet")
    write_events(tmp_path / "parts", [row for row in ROWS if row[0] == "anna"], "part-1.parquet")
    parts = read_sequences(tmp_path / "parts")
    for name in ("offsets", "items", "is_validation"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_histories_hold_what_went_before_of_the_same_user(tmp_path):
    sequences = read_sequences(write_events(tmp_path, ROWS))
    histories = sequences.padded_histories(np.array([0, 0, 0, 1]), np.array([0, 2, 3, 3]), 2)
    assert histories.tolist() == [[0, 0], [3, 5], [5, 3], [0, 0]]
    assert histories.dtype == np.int32


def test_a_folder_without_examples_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"Expected prepared examples in .*events, got no Parquet files"):
        read_sequences(tmp_path)


def test_examples_without_a_positive_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="got none: there is nothing to learn from"):
        read_sequences(write_events(tmp_path, [("anna", 3, "impression", 0, 0)]))


def test_a_missing_vocabulary_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"Expected a vocabulary at .*vocabulary.parquet, got none"):
        read_catalogue(tmp_path)


def test_the_catalogue_is_the_vocabulary(tmp_path):
    catalogue = read_catalogue(write_vocabulary(tmp_path, num_items=3, num_feed=2))
    assert catalogue.item_ids == ("i001", "i002", "i003")
    assert catalogue.surfaces.tolist() == [-1, 0, 0, 1]
