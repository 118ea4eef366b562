"""What the server receives, and what it makes of it: nothing but masked uploads, and the sum bit for bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from federated.device.contribution import count_transitions
from federated.device.masking import mask_upload
from federated.simulation.strict.unmasking import Revealed, sum_uploads
from recsys.config.federated import StrictSettings
from recsys.errors import FederationError

NUM_DEVICES, NUM_ITEMS, BITS = 20, 8, 9
SETTINGS = StrictSettings()


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(3)
    histories = [rng.permutation(NUM_ITEMS).astype(np.int32)[: rng.integers(2, NUM_ITEMS)] for _ in range(NUM_DEVICES)]
    return [count_transitions(history, NUM_ITEMS, SETTINGS).expand() for history in histories]


@pytest.fixture(scope="module")
def own():
    return {device: f"own {device}".encode() for device in range(NUM_DEVICES)}


@pytest.fixture(scope="module")
def shared():
    """Device to peer to seed, the same both ways."""
    seeds = {device: {} for device in range(NUM_DEVICES)}
    for one, other in itertools.combinations(range(NUM_DEVICES), 2):
        seeds[one][other] = seeds[other][one] = f"pair {one} {other}".encode()
    return seeds


def upload(devices, vectors, own, shared):
    return {device: mask_upload(vectors[device], device, own[device], shared[device], BITS) for device in devices}


@pytest.mark.parametrize("gone", [(), (0, 3, 4, 11, 12, 19)])
def test_the_sum_of_masked_uploads_is_the_plain_sum_also_if_three_in_ten_drop_out(gone, vectors, own, shared):
    remaining = [device for device in range(NUM_DEVICES) if device not in gone]
    revealed = Revealed(
        {device: own[device] for device in remaining},
        {device: {peer: shared[device][peer] for peer in remaining} for device in gone},
    )
    total = sum_uploads(upload(remaining, vectors, own, shared), revealed, BITS)
    np.testing.assert_array_equal(total, np.sum([vectors[device] for device in remaining], axis=0))


def test_the_sum_of_uploads_stays_masked_until_the_remaining_devices_reveal_their_seeds(vectors, own, shared):
    total = np.sum(list(upload(range(NUM_DEVICES), vectors, own, shared).values()), axis=0) % 2**BITS
    assert (total != np.sum(vectors, axis=0)).mean() > 0.9


def test_a_sum_lacks_a_device_only_with_its_shared_seeds(vectors, own, shared):
    remaining = list(range(1, NUM_DEVICES))
    uploads = upload(remaining, vectors, own, shared)
    total = sum_uploads(uploads, Revealed({device: own[device] for device in remaining}, {}), BITS)
    assert (total != np.sum(vectors[1:], axis=0)).mean() > 0.9


@pytest.mark.parametrize("case", ["both seeds of one", "no own seed", "no upload"])
def test_what_would_bare_a_device_or_cannot_be_unmasked_is_refused(case, vectors, own, shared):
    uploads = {} if case == "no upload" else upload(range(NUM_DEVICES), vectors, own, shared)
    revealed = {
        "both seeds of one": Revealed(own, {3: shared[3]}),
        "no own seed": Revealed({device: own[device] for device in range(1, NUM_DEVICES)}, {}),
        "no upload": Revealed({}, {}),
    }[case]
    with pytest.raises(
        FederationError, match=r"Expected the own seeds of all .*Give this sum up: it may not be unmask"
    ):
        sum_uploads(uploads, revealed, BITS)
