"""What devices count in strict federation passes through masks: the server has the sum, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from federated.device.contribution import count_transitions
from federated.simulation.secure_sum import sum_securely
from recsys.config.federated import StrictSettings

NUM_DEVICES, NUM_ITEMS, BITS = 20, 8, 9
SETTINGS = StrictSettings()


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(3)
    histories = [rng.permutation(NUM_ITEMS).astype(np.int32)[: rng.integers(2, NUM_ITEMS)] for _ in range(NUM_DEVICES)]
    counted = [count_transitions(history, NUM_ITEMS, SETTINGS).expand().astype(np.uint32) for history in histories]
    return dict(enumerate(counted, 1))


@pytest.mark.parametrize("lost", [(), (1, 3, 4, 11, 12, 20)])
def test_the_sum_under_masks_is_the_plain_sum_also_if_three_in_ten_are_lost(lost, vectors):
    result = sum_securely(vectors, frozenset(lost), BITS)
    np.testing.assert_array_equal(result.total, sum(vectors[number] for number in vectors if number not in lost))


def test_an_upload_tells_nothing_of_what_was_counted_and_fits_its_bits(vectors):
    masked = sum_securely(vectors, bits=BITS).masked
    assert max(values.max() for values in masked.values()) < 2**BITS
    assert np.mean([(masked[number] != vectors[number]).mean() for number in masked]) > 0.9
