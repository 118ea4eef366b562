"""The server's half of masked sums (`federated/device/masking.py`): it has masked uploads, and unmasks their sum.

Once the uploads are in, the remaining devices tell it, of each device whose upload came, the seed of its own mask, and
of each that dropped out the seeds it shared with those whose upload came: never both of one device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from federated.device.masking import draw_mask, sum_pair_masks
from recsys.contracts.arrays import Int64Array
from recsys.errors import FederationError


@dataclass(frozen=True)
class Revealed:
    """Seeds that the devices which remained tell the server.

    Attributes:
      own: Device to the seed of its own mask: of each whose upload came.
      shared: Device to peer to the seed that they share: of each that dropped out, peers whose upload came.
    """

    own: Mapping[int, bytes]
    shared: Mapping[int, Mapping[int, bytes]]


def sum_uploads(uploads: Mapping[int, Int64Array], revealed: Revealed, bits: int) -> Int64Array:
    """Returns the sum of what the devices had to add, `[size]` int64 modulo 2 ** bits.

    Args:
      uploads: Device to what `mask_upload` gave.
      revealed: Of these devices, and of those that dropped out.
      bits: Of the modulus.

    Raises:
      FederationError: If there is no upload, or a device's own seed and shared ones were both asked for, which would
        bare its upload, or a seed is missing.
    """
    if not uploads or set(revealed.own) != set(uploads) or set(revealed.shared) & set(uploads):
        raise FederationError(
            "Expected the own seeds of all devices whose uploads came and the shared seeds of others only, got own "
            f"seeds of {sorted(revealed.own)} and shared ones of {sorted(revealed.shared)} with uploads of "
            f"{sorted(uploads)}. Give this sum up: it may not be unmasked."
        )
    total = np.sum(list(uploads.values()), axis=0, dtype=np.int64)
    for seed in revealed.own.values():
        total -= draw_mask(seed, len(total), bits)
    for device, seeds in revealed.shared.items():
        # What the absent device would have added is what its peers' uploads lack.
        total += sum_pair_masks(device, seeds, len(total), bits)
    return total & (2**bits - 1)
