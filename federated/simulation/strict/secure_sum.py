"""One vector summed over devices by TFF's secure modular sum.

TFF clients are packs of devices, as everywhere here: what devices have to add lies on disk, the worker expands it to
whole vectors inside a pack, and what leaves a pack is their sum modulo powers of two. In the simulation TFF's intrinsic
is a plain sum with a modulus: it proves what the server computes from, not that nobody could look; masks are in
`federated/simulation/secure_sum.py`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.device.contribution import Contribution
from federated.simulation.execution import execute_on
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.parts import PEOPLE, get_pack
from federated.simulation.packed.store import Column, hold_store
from federated.simulation.packed.training import map_column
from federated.simulation.strict.segments import Segment
from federated.simulation.worker import run_worker
from recsys.contracts.arrays import Int64Array
from recsys.errors import FederationError

_FIELDS: Final = {"cell": (np.int32, ()), "value": (np.int32, ())}


@dataclass(frozen=True, eq=False)
class SecureSum:
    """What the server has of a vector, and what that cost.

    Attributes:
      total: `[size]` int64, the sum over devices.
      num_devices: Whose uploads are in it.
      segments: The vector's, with the bits of each.
      num_cells: That were not 0, over all devices: what they had to add, before masks made all of it full.
      seconds: From the first device's counts to the sum.
    """

    total: Int64Array
    num_devices: int
    segments: tuple[Segment, ...]
    num_cells: int
    seconds: float

    @property
    def upload_bytes(self) -> int:
        """Bytes that each device sends: its masked vector, the cells packed to their bits."""
        return sum(segment.size_bytes for segment in self.segments)

    @property
    def bits_per_cell(self) -> float:
        """Bits of a cell on average."""
        return sum(part.num_cells * part.bits for part in self.segments) / max(len(self.total), 1)


class SecureSummer:
    """Sums vectors over devices on one worker."""

    def __init__(self, folder: Path, users_per_pack: int) -> None:
        """Keeps where contributions lie meanwhile, and how many devices are computed together."""
        self._folder = folder
        self._users_per_pack = users_per_pack

    def sum(
        self, name: str, contributions: Iterator[Contribution], segments: tuple[Segment, ...], num_cells: int
    ) -> SecureSum:
        """Returns the sum of contributions, one of each device.

        Args:
          name: Of the vector.
          contributions: As long as the segments together, at least one.
          segments: Of the vector; sums stay below their moduli.
          num_cells: At least as many as are not 0 in all of them together.

        Raises:
          FederationError: If there is none, or one has another length.
          WorkspaceError: If the disk is full or refuses.
        """
        began = time.perf_counter()
        with hold_store(self._folder / name, _FIELDS, max(1, num_cells)) as store:
            extents, size = {}, sum(segment.num_cells for segment in segments)
            for number, contribution in enumerate(contributions):
                if contribution.size != size:
                    raise FederationError(f"Expected {name} in vectors of {size:,} cells, got {contribution.size:,}.")
                fields = {"cell": contribution.cells, "value": contribution.values}
                extents[str(number)] = store.add(str(number), fields)
            if not extents:
                raise FederationError(f"Expected at least one device that sends its {name}, got none.")
            packs = [to_dataset(pack) for pack in cut_cohort(extents, self._users_per_pack)]
            total = np.zeros(size, np.int64)
            if packs:
                summed = tff.backends.test.replace_secure_intrinsics_with_bodies(
                    build_secure_sum(store.columns, segments)
                )(packs)
                total = np.concatenate([np.asarray(part) for part in summed.values()]).astype(np.int64)
            used = sum(extent.count for extent in extents.values())
        return SecureSum(total, len(extents), segments, used, time.perf_counter() - began)


@contextmanager
def hold_summer(folder: Path, users_per_pack: int, worker_start_s: float) -> Iterator[SecureSummer]:
    """Gives a summer with a worker of its own, which ends with the block.

    Raises:
      FederationError: If the worker does not start or dies.
    """
    with run_worker(folder / "worker.log", worker_start_s) as worker, execute_on(worker):
        yield SecureSummer(folder, users_per_pack)


def build_secure_sum(columns: Mapping[str, Column], segments: Sequence[Segment]) -> tff.Computation:
    """Returns the computation from packs of devices to the sum of their vectors, `[num_cells]` int32 of each segment.

    It is what a runtime with secure aggregation would be given; ours has none, and is given TFF's stand-in.

    Args:
      columns: Where `cell` and `value` of all devices lie.
      segments: Of the vector; each is summed modulo 2 ** bits.
    """
    sizes = [segment.num_cells for segment in segments]
    moduli = OrderedDict((f"segment_{place}", 2**segment.bits) for place, segment in enumerate(segments))

    @tff.tensorflow.computation(PEOPLE)
    def add_up(people: Any) -> Any:
        pack = get_pack(people)
        rows = tf.ragged.range(pack["start"], pack["start"] + pack["count"]).flat_values
        cells, values = (tf.gather(map_column(columns[name]), rows) for name in ("cell", "value"))
        parts = tf.split(tf.math.unsorted_segment_sum(values, cells, sum(sizes)), sizes)
        return OrderedDict(
            (name, tf.math.floormod(part, modulus)) for (name, modulus), part in zip(moduli.items(), parts, strict=True)
        )

    @tff.federated_computation(tff.FederatedType(PEOPLE, tff.CLIENTS))
    def secure_sum(people: Any) -> Any:
        return tff.backends.mapreduce.federated_secure_modular_sum(tff.federated_map(add_up, people), moduli)

    return secure_sum
