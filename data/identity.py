"""Stable hashes of ids: the same person meets the same shard and tier in every run and on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.contracts.schema import arrow_schema

TIERS = ("low", "mid", "high")
"""Device tiers, from weak to strong."""

TIER_SHARES = (0.3, 0.5, 0.2)
"""How many people hold a device of each tier, in the synthetic world and where a dataset does not say."""


def hash_ids(ids: Sequence[str], salt: str) -> npt.NDArray[np.uint64]:
    """Returns `[num_ids]` uint64, evenly spread and independent between salts."""
    person = salt.encode()[:16]
    digests = b"".join(hashlib.blake2b(item.encode(), digest_size=8, person=person).digest() for item in ids)
    return np.frombuffer(digests, dtype="<u8")


def assign_tiers(user_ids: Sequence[str]) -> pa.Table:
    """Returns the user table of people whose devices are unknown: a tier by stable hash, 30/50/20 %."""
    uniform = hash_ids(user_ids, "device-tier") / np.float64(2**64)
    codes = np.searchsorted(np.cumsum(TIER_SHARES)[:-1], uniform, side="right")
    tiers = pa.array(TIERS, pa.string()).take(pa.array(codes))
    return pa.Table.from_arrays([pa.array(user_ids, pa.string()), tiers], schema=arrow_schema("user"))
