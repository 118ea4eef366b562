from __future__ import annotations

import numpy as np
import pytest

from recsys.features.history import history_mask, pad_history, standardise


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [([], [0, 0, 0]), ([4], [0, 0, 4]), ([1, 0, 2], [0, 1, 2]), ([1, 2, 3, 4], [2, 3, 4])],
)
def test_histories_keep_their_last_known_items_on_the_right(indexes, expected):
    assert pad_history(indexes, 3).tolist() == expected


def test_the_mask_tells_items_from_padding():
    assert history_mask(np.asarray([0, 7, 3], np.int32)).tolist() == [0.0, 1.0, 1.0]


def test_standardised_scores_have_mean_zero_and_variance_one_in_each_list():
    scores = standardise(np.asarray([[1.0, 3.0], [100.0, 300.0]], np.float32))
    assert scores.tolist() == [[-1.0, 1.0], [-1.0, 1.0]]


def test_equal_scores_become_zeros():
    assert standardise(np.full((1, 3), 5.0, np.float32)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("shape", [(1,), (7,), (100,), (3, 500)])
def test_scores_are_standardised_as_numpy_takes_mean_and_deviation_to_the_last_bit(shape):
    scores = (np.random.default_rng(0).normal(size=shape) * 1e3 + 7.0).astype(np.float32)
    centred = scores - scores.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    expected = centred / np.where(deviation > 1e-6, deviation, 1.0)
    assert standardise(scores).dtype == np.float32
    assert standardise(scores).tobytes() == expected.astype(np.float32).tobytes()
