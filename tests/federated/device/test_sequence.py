"""The sequence tower of a device, on weights that can be checked on paper."""

from __future__ import annotations

import numpy as np

from federated.device.sequence import SequenceWeights, score_all

# The squares of each row are 1 on average.
ROWS = np.array([[1, 1], [1, -1], [-1, -1]], np.float32)


def make_weights(**changed):
    zeros = np.zeros
    weights = SequenceWeights(
        rows=ROWS,
        biases=np.array([0, 0, 10], np.float32),
        queries=zeros((1, 2, 3), np.float32),
        keys=np.ones((1, 2, 3), np.float32),
        values=np.eye(2, dtype=np.float32)[None],
        recency=np.array([[0, -np.log(2)]], np.float32),
        hidden=zeros((2, 4), np.float32),
        hidden_biases=zeros(4, np.float32),
        output=zeros((4, 2), np.float32),
        sharpness=np.float32(np.log(2)),
    )
    return weights._replace(**changed)


def items(*values):
    return np.array(values, np.int32)


def test_later_choices_count_more_by_how_far_back_they_lie():
    # The last one weighs 2/3, the other 1/3: (1, -1/3), whose squares are 5/9 on average.
    expected = ROWS @ np.array([1, -1 / 3]) / np.sqrt(5 / 9) * 2 + [0, 0, 10]
    np.testing.assert_allclose(score_all(make_weights(), items(0, 1)), expected, rtol=1e-5)


def test_choices_further_back_than_the_tower_looks_change_nothing():
    tower = make_weights()
    np.testing.assert_array_equal(score_all(tower, items(2, 0, 1)), score_all(tower, items(0, 1)))


def test_a_choice_that_the_last_one_looks_for_counts_more():
    # The head compares the first numbers alone, sharply: item 1 asks for those like itself, as item 0 is, not item 2.
    compare = np.array([[[20.0], [0.0]]], np.float32)
    tower = make_weights(queries=compare, keys=compare, recency=np.zeros((1, 3), np.float32))
    # Items 0 and 1 weigh half each: (1, 0), whose squares are 1/2 on average.
    expected = ROWS @ np.array([1, 0]) / np.sqrt(1 / 2) * 2 + [0, 0, 10]
    np.testing.assert_allclose(score_all(tower, items(0, 2, 1)), expected, rtol=1e-5)


def test_heads_add_up_and_the_hidden_layer_on_top_of_them():
    # Alone item 0 is attended as (1, 1); two heads of halves come to the same. The one unit gives 1 + 1 - 1/2 to y.
    tower = make_weights(
        queries=np.zeros((2, 2, 3), np.float32),
        keys=np.zeros((2, 2, 3), np.float32),
        values=np.stack([np.eye(2, dtype=np.float32) / 2] * 2),
        recency=np.zeros((2, 2), np.float32),
        hidden=np.ones((2, 1), np.float32),
        hidden_biases=np.float32([-0.5]),
        output=np.float32([[0, 1]]),
    )
    np.testing.assert_allclose(score_all(tower, items(0)), ROWS @ np.array([1, 2.5]) * 2 + [0, 0, 10], rtol=1e-5)


def test_sizes_are_those_of_all_numbers():
    tower = make_weights()
    assert tower.dense_size == 6 + 6 + 4 + 2 + 8 + 4 + 8 + 1
    assert tower.size_bytes == 4 * (tower.dense_size + 6 + 3)
