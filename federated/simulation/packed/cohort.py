"""How a cohort is cut into packs, each of which is one client to TFF."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from federated.simulation.packed.store import Extent


def cut_cohort(extents: Mapping[str, Extent], users_per_pack: int) -> list[list[Extent]]:
    """Returns packs of people with about equally many examples, so that few stand still while others go on.

    People without examples are left out. The cut depends on the set of people alone, not on where they lie.

    Args:
      extents: User to extent, in any order.
      users_per_pack: The most people in one pack.
    """
    user_ids = sorted(extents, key=lambda user_id: (-extents[user_id].count, user_id))
    ordered = [extents[user_id] for user_id in user_ids if extents[user_id].count]
    num_packs = -(-len(ordered) // users_per_pack)
    sizes = [len(part) for part in np.array_split(np.arange(len(ordered)), num_packs)] if num_packs else []
    ends = np.cumsum(sizes, dtype=int).tolist()
    return [ordered[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def to_dataset(pack: list[Extent]) -> tf.data.Dataset:
    """Returns what is sent of a pack: one element for each person, where its rows lie and how many there are."""
    return tf.data.Dataset.from_tensor_slices(
        OrderedDict(
            count=np.asarray([extent.count for extent in pack], np.int32),
            start=np.asarray([extent.start for extent in pack], np.int32),
        )
    )
