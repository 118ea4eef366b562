"""How an upload is hidden: by masks that are uniform to whoever sees one upload, and cancel in the sum of all.

Practical Secure Aggregation for Privacy-Preserving Machine Learning, Bonawitz, Ivanov, Kreuter, Marcedone, McMahan,
Patel, Ramage, Segal and Seth, CCS 2017: each two devices share a seed, by which one adds and the other subtracts the
same mask; a mask of a device's own protects an upload that arrives after its device was given up. Masks come from
SHAKE-256. Deviation: how two devices agree on a seed (Diffie-Hellman), and how seeds are shared so that the server
learns only the one of the two kinds that it needs (Shamir), is not here: seeds are given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from recsys.contracts.arrays import Int64Array

MOST_BITS = 32


def draw_mask(seed: bytes, size: int, bits: int) -> Int64Array:
    """Returns the mask of a seed: `[size]` int64, uniform from 0 to 2 ** bits - 1.

    Args:
      seed: Known to whom it is meant for.
      size: Length of the vector.
      bits: Of the modulus, at most 32.
    """
    words = np.frombuffer(hashlib.shake_256(seed).digest(4 * size), "<u4")
    return words.astype(np.int64) & (2**bits - 1)


def sum_pair_masks(device: int, seeds: Mapping[int, bytes], size: int, bits: int) -> Int64Array:
    """Returns what a device adds for its peers, `[size]` int64 modulo 2 ** bits; what they add takes it off again.

    Args:
      device: Its number among those who take part.
      seeds: Number of each peer to the seed that the two share.
      size: This and the next as of `draw_mask`.
      bits: As above.
    """
    total = np.zeros(size, np.int64)
    for peer, seed in seeds.items():
        mask = draw_mask(seed, size, bits)
        total += mask if device < peer else -mask
    return total & (2**bits - 1)


def mask_upload(vector: Int64Array, device: int, own_seed: bytes, seeds: Mapping[int, bytes], bits: int) -> Int64Array:
    """Returns what leaves a device, `[size]` int64 from 0 to 2 ** bits - 1.

    Args:
      vector: `[size]` int64, what the device has to add.
      device: This and the next two as of `sum_pair_masks`.
      own_seed: Of its own mask.
      seeds: As above.
      bits: As above.
    """
    masked = vector + draw_mask(own_seed, len(vector), bits) + sum_pair_masks(device, seeds, len(vector), bits)
    return masked & (2**bits - 1)
