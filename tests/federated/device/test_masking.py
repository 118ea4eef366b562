from __future__ import annotations

import numpy as np

from federated.device.masking import draw_mask, mask_upload, sum_pair_masks


def test_two_devices_that_share_a_seed_mask_each_other_out():
    one = sum_pair_masks(0, {1: b"shared"}, 100, 20)
    other = sum_pair_masks(1, {0: b"shared"}, 100, 20)
    assert not ((one + other) % 2**20).any()
    assert (one != 0).mean() > 0.9


def test_a_mask_depends_on_its_seed_and_on_nothing_else():
    np.testing.assert_array_equal(draw_mask(b"a", 50, 13), draw_mask(b"a", 50, 13))
    assert (draw_mask(b"a", 50, 13) != draw_mask(b"b", 50, 13)).mean() > 0.9


def test_a_mask_has_all_values_alike():
    # 16 values of 4 bits, 4,000 expected of each, standard deviation 61.
    counts = np.bincount(draw_mask(b"seed", 64_000, 4), minlength=16)
    assert len(counts) == 16
    assert np.abs(counts - 4_000).max() < 300


def test_an_upload_says_nothing_of_what_is_in_it():
    # The same masks over nothing and over the most there can be: either is uniform, and their means are alike.
    size, bits = 64_000, 10
    for vector in (np.zeros(size, np.int64), np.full(size, 2**bits - 1)):
        upload = mask_upload(vector, 1, b"own", {0: b"left", 2: b"right"}, bits)
        counts = np.bincount(upload >> (bits - 4), minlength=16)
        assert len(counts) == 16
        assert np.abs(counts - 4_000).max() < 300
