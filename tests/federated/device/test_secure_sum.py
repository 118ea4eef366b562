"""The device's half of a secure sum."""

import numpy as np
import pytest

from federated.device.secure_sum import PRIME, MaskingDevice, cut, expand, join
from recsys.errors import FederationError


def meet(count, threshold):
    """Devices that have exchanged keys and shares, and what each has sealed."""
    devices = {number: MaskingDevice(number) for number in range(1, count + 1)}
    public = {number: device.advertise() for number, device in devices.items()}
    sealed = {number: device.share(public, threshold) for number, device in devices.items()}
    return devices, public, sealed


def test_as_many_shares_as_the_threshold_give_the_secret_back_whichever_they_are():
    shares = cut(1234567, [1, 2, 3, 4, 5], 3)
    for chosen in ([1, 2, 3], [2, 4, 5], [1, 2, 3, 4, 5]):
        assert join({number: shares[number] for number in chosen}) == 1234567


def test_one_share_too_few_gives_something_else():
    shares = cut(1234567, [1, 2, 3, 4, 5], 3)
    assert join({number: shares[number] for number in (1, 2)}) != 1234567


def test_shares_of_a_line_are_its_points():
    # The secret and the slope are the line's; two points give both: 7 = 2 f(1) - f(2).
    shares = cut(7, [1, 2], 2)
    assert (2 * shares[1] - shares[2]) % PRIME == 7


def test_a_seed_stands_for_the_same_numbers_everywhere():
    # The first words of ChaCha20 with key, counter and nonce zero (RFC 8439, appendix A.1, test vector 1).
    np.testing.assert_array_equal(expand(bytes(32), 2), np.frombuffer(bytes.fromhex("76b8e0ada0f13d90"), "<u4"))


def test_masks_between_two_devices_cancel_out_of_their_sum():
    devices, _, sealed = meet(2, 2)
    for number, device in devices.items():
        device.receive({sender: messages[number] for sender, messages in sealed.items()})
    nothing = np.zeros(3, np.uint32)
    total = devices[1].mask(nothing) + devices[2].mask(nothing)
    seeds = [device.reveal([1, 2])[0] for device in devices.values()]
    own = [join({1: seeds[0][number], 2: seeds[1][number]}).to_bytes(32, "big") for number in (1, 2)]
    np.testing.assert_array_equal(total, expand(own[0], 3) + expand(own[1], 3))


def test_of_each_peer_one_kind_of_share_is_revealed_and_only_once():
    devices, _, sealed = meet(4, 3)
    device = devices[1]
    device.receive({sender: messages[1] for sender, messages in sealed.items()})
    seeds, keys = device.reveal([1, 2, 4])
    assert (sorted(seeds), sorted(keys)) == ([1, 2, 4], [3])
    with pytest.raises(FederationError, match="Expected device 1 to be asked for shares once, got asked again"):
        device.reveal([1, 2, 3])


def test_nothing_is_revealed_where_too_few_came():
    devices, _, sealed = meet(4, 3)
    devices[1].receive({sender: messages[1] for sender, messages in sealed.items()})
    with pytest.raises(FederationError, match="Expected masked values of at least 3 devices, got 2"):
        devices[1].reveal([1, 2])


def test_a_threshold_that_two_halves_could_reach_is_refused():
    device = MaskingDevice(1)
    with pytest.raises(FederationError, match="Expected a threshold above half of 2 devices, and not above all, got 1"):
        device.share({1: device.advertise(), 2: MaskingDevice(2).advertise()}, 1)


def test_shares_that_were_altered_on_their_way_are_refused():
    devices, _, sealed = meet(2, 2)
    message = bytearray(sealed[2][1])
    message[0] ^= 1
    with pytest.raises(FederationError, match="shares that device 2 sealed for device 1, got altered ones"):
        devices[1].receive({2: bytes(message)})


def test_shares_for_another_device_cannot_be_read():
    devices, _, sealed = meet(3, 2)
    with pytest.raises(FederationError, match="got altered ones"):
        devices[1].receive({2: sealed[2][3]})
