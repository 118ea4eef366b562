"""The server's half of a secure sum (`federated.device.secure_sum`): it passes on, adds, and takes the masks away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from federated.device.secure_sum import (
    MOST_BITS,
    SHARE_BYTES,
    MaskingDevice,
    PublicKeys,
    UInt32Array,
    expand,
    join,
    keep_bits,
    signed_mask,
)
from recsys.errors import FederationError

_KEY_BYTES = 32


@dataclass(frozen=True)
class SecureSum:
    """What a secure sum gave.

    Attributes:
      total: `[num_values]` uint32, the sum of those who came, modulo 2^bits.
      masked: Device to what the server saw of it.
      came: Whose values are in the sum.
      bytes_up: The most that a device sent, its masked values among it.
      bytes_down: The most that a device received.
    """

    total: UInt32Array
    masked: Mapping[int, UInt32Array]
    came: tuple[int, ...]
    bytes_up: int
    bytes_down: int


def sum_securely(
    values: Mapping[int, UInt32Array], lost: frozenset[int] = frozenset(), bits: int = MOST_BITS
) -> SecureSum:
    """Plays all parts of a secure sum, message by message.

    Args:
      values: Device, from 1, to `[num_values]` uint32.
      lost: Devices that send nothing after they have shared their keys.
      bits: Of the modulus, at most 32.

    Raises:
      FederationError: If no more than half of the devices come through.
    """
    devices = {number: MaskingDevice(number) for number in sorted(values)}
    threshold = len(devices) // 2 + 1
    public = {number: device.advertise() for number, device in devices.items()}
    sealed = {number: device.share(public, threshold) for number, device in devices.items()}
    for number, device in devices.items():
        device.receive({sender: messages[number] for sender, messages in sealed.items()})
    masked = {number: device.mask(values[number], bits) for number, device in devices.items() if number not in lost}
    came = tuple(masked)
    if len(came) < threshold:
        raise FederationError(f"Expected masked values of at least {threshold} devices, got {len(came)}. Try again.")
    revealed = [devices[number].reveal(came) for number in came]
    seeds = {number: dict(zip(came, (share[0][number] for share in revealed), strict=True)) for number in came}
    keys = {
        number: dict(zip(came, (share[1][number] for share in revealed), strict=True))
        for number in devices
        if number not in masked
    }
    masked_bytes = -(-len(next(iter(masked.values()))) * bits // 8)
    up, down = _count_bytes(public, sealed, masked_bytes, len(came))
    return SecureSum(keep_bits(_unmask(masked, public, seeds, keys), bits), masked, came, up, down)


def _unmask(
    masked: Mapping[int, UInt32Array],
    public: Mapping[int, PublicKeys],
    seeds: Mapping[int, Mapping[int, int]],
    keys: Mapping[int, Mapping[int, int]],
) -> UInt32Array:
    """Adds, and takes away the own masks of those who came and what they have agreed with the lost."""
    total = np.zeros_like(next(iter(masked.values())))
    for values in masked.values():
        total += values
    for shares in seeds.values():
        total -= expand(join(shares).to_bytes(_KEY_BYTES, "big"), len(total))
    for lost, shares in keys.items():
        key = join(shares).to_bytes(_KEY_BYTES, "big")
        for number in masked:  # what the device has added by the sign of its own, is taken away
            total -= signed_mask(key, public[number].mask, number < lost, len(total))
    return total


def _count_bytes(
    public: Mapping[int, PublicKeys], sealed: Mapping[int, Mapping[int, bytes]], masked_bytes: int, num_came: int
) -> tuple[int, int]:
    """The bytes up and down of a device that comes through: keys, shares, values, and the shares revealed."""
    own = next(iter(public.values()))
    keys, shares = len(own.mask) + len(own.seal), sum(len(message) for message in next(iter(sealed.values())).values())
    revealed, came = SHARE_BYTES * len(public), 4 * num_came
    return keys + shares + masked_bytes + revealed, keys * len(public) + shares + came
