"""Secure sums, all parts played."""

import numpy as np
import pytest
import tensorflow as tf

from federated.simulation.packed.encodings import Integers
from federated.simulation.secure_sum import sum_securely
from recsys.errors import FederationError

RNG = np.random.default_rng(0)
VALUES = {number: RNG.integers(0, 2**32, 50, np.uint32) for number in range(1, 11)}
LOST = frozenset({2, 5, 10})


def test_with_three_of_ten_lost_the_sum_is_that_of_the_others_bit_for_bit():
    found = sum_securely(VALUES, LOST)
    assert found.came == (1, 3, 4, 6, 7, 8, 9)
    expected = sum(VALUES[number].astype(np.uint64) for number in found.came) % 2**32
    np.testing.assert_array_equal(found.total, expected)


def test_a_round_gets_the_same_sum_under_masks_in_packs_and_at_once_bit_for_bit():
    encoding, bound, first = Integers(bits=16), tf.constant(0.7), tf.constant(0)
    update = tf.constant(RNG.normal(0, 0.3, (10, 50)).astype(np.float32))
    weight = tf.constant(RNG.integers(1, 65, 10).astype(np.float32))
    came = [place for place in range(10) if place + 1 not in LOST]

    def add(places):
        total = encoding.add_up([tf.gather(update, places)], tf.gather(weight, places), bound, first)
        return total[0].numpy()

    plain = add(came)
    np.testing.assert_array_equal(add(came[4:][::-1]) + add(came[:4]), plain)
    sent = {place + 1: add([place]).view(np.uint32) for place in range(10)}
    np.testing.assert_array_equal(sum_securely(sent, LOST).total.view(np.int32), plain)


def test_negative_numbers_are_added_as_what_they_are():
    values = {1: np.int32([-5, 3]), 2: np.int32([2, -3]), 3: np.int32([1, -1])}
    found = sum_securely({number: own.view(np.uint32) for number, own in values.items()})
    np.testing.assert_array_equal(found.total.view(np.int32), [-2, -1])


def test_what_the_server_sees_of_a_device_does_not_look_like_its_values():
    small = {number: np.full(10_000, number, np.uint32) for number in range(1, 4)}
    seen = sum_securely(small).masked[2]
    assert abs(seen.mean() / 2**32 - 0.5) < 0.02  # even over all 2^32: the standard error is 0.003
    assert len(np.unique(seen)) > 9_900


def test_where_half_is_lost_there_is_no_sum():
    with pytest.raises(FederationError, match="Expected masked values of at least 6 devices, got 5"):
        sum_securely(VALUES, frozenset({1, 2, 3, 4, 5}))


def test_the_bytes_of_a_device_are_those_of_its_messages():
    # Two keys of 32; to each of ten 2 * 66 bytes and a seal of 16; 50 numbers; ten shares.
    found = sum_securely(VALUES, LOST)
    assert found.bytes_up == 64 + 10 * (132 + 16) + 200 + 660
    assert found.bytes_down == 10 * 64 + 10 * (132 + 16) + 4 * 7
