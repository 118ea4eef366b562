"""Secure sums by TFF, in a process of its own: TFF takes seconds to load.

python -m tests.federated.simulation.strict.rehearsal FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow_federated as tff

from federated.device.contribution import count_items
from federated.simulation.packed.parts import PEOPLE
from federated.simulation.packed.store import Column
from federated.simulation.strict.federation import ITEMS, contribute, federate
from federated.simulation.strict.secure_sum import build_secure_sum, hold_summer
from federated.simulation.strict.segments import Segment, cut_items
from recsys.config.federated import StrictSettings
from recsys.errors import FederationError
from recsys.progress import Silent

NUM_ITEMS, NUM_DEVICES = 12, 40
SETTINGS = StrictSettings(max_history=6, levels=5, users_per_pack=7, min_devices=9)


def draw_histories() -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.integers(0, NUM_ITEMS, rng.integers(0, 9)).astype(np.int32) for _ in range(NUM_DEVICES)]


def compare(folder: Path, histories: list[np.ndarray], users_per_pack: int) -> dict[str, bool]:
    """Whether each sum is the plain one."""
    settings = SETTINGS.model_copy(update={"users_per_pack": users_per_pack})
    model = federate((histories, histories[1:]), NUM_ITEMS, folder, settings, Silent())
    everything, equal = np.arange(NUM_ITEMS, dtype=np.int32), {}
    for name, held in model.sums.items():
        own, kept = (histories, everything) if name == ITEMS else (histories[1:], model.tables.kept)
        plain = np.sum([contribute(name, history, kept, settings).expand() for history in own], axis=0)
        equal[name] = np.array_equal(held.total, plain)
    return {**equal, "some_are_kept": 2 <= len(model.tables.kept) < NUM_ITEMS}


def find_insecure(computation: tff.Computation) -> bool:
    """What TFF's own analysis says."""
    try:
        tff.test.assert_not_contains_unsecure_aggregation(computation)
    except AssertionError:
        return True
    return False


def describe(folder: Path) -> dict[str, object]:
    """What goes into the computation of a sum, what comes out, and whether anything else could be seen."""
    columns = {name: Column(folder / name, np.dtype(np.int32), (1,)) for name in ("cell", "value")}
    secure = build_secure_sum(columns, [Segment(2, 4), Segment(7, 5)])

    @tff.federated_computation(tff.FederatedType(PEOPLE, tff.CLIENTS))
    def plain(people):
        return tff.federated_sum(tff.federated_map(tff.tensorflow.computation(lambda _: 1, PEOPLE), people))

    return {
        "type": secure.type_signature.compact_representation(),
        "insecure": find_insecure(secure),
        "plain_is_insecure": find_insecure(plain),
    }


def refuse(folder: Path) -> list[str]:
    """The errors of sums that cannot be."""
    counts = [count_items(np.array([1], np.int32), num_items, SETTINGS) for num_items in (3, 4)]
    told = []
    with hold_summer(folder, 5, 60.0) as summer:
        for contributions in ([], counts):
            try:
                summer.sum("things", iter(contributions), cut_items(2, 3), 2)
            except FederationError as error:
                told.append(str(error))
        nobody = [count_items(np.zeros(0, np.int32), 3, SETTINGS)] * 2
        nothing = summer.sum("nothing", iter(nobody), cut_items(2, 3), 0)
    return [*told, str(nothing.total.tolist())]


def main(folder: Path) -> None:
    histories = draw_histories()
    remaining = np.flatnonzero(np.random.default_rng(0).random(NUM_DEVICES) >= 0.3)
    json.dump(
        {
            "all": compare(folder, histories, 7),
            "one_pack": compare(folder, histories, NUM_DEVICES),
            "num_remaining": len(remaining),
            "remaining": compare(folder, [histories[number] for number in remaining], 7),
            "computation": describe(folder),
            "refused": refuse(folder),
            "left": sorted(path.name for path in folder.iterdir()),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
