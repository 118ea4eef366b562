"""Federated rounds: packed cohorts beside TFF's own processes, growing cohorts, memory over many rounds.

The *reference* tower is 64 -> 32 -> 1 on 100 examples a person in batches of 20, once; the *device* tower is the one
that `tandem federate` trains, on as many examples as a person may have. All people and examples are drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from recsys.progress import Progress
from recsys.storage.workspace import Workspace

USERS_PER_PACK: Final = {"reference": 250, "device": 64}
"""Chosen for speed: small models want large packs; large models want packs that stay in the cache."""

_TIMED_ROUNDS: Final = {"reference": 20, "device": 5}
_SLOPE_ROUNDS: Final = 5
_TRACE_POINTS: Final = 10


def bench_federated(
    workspace: Workspace, *, users: int, slope: Sequence[int], rounds: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Returns throughput, equality, slope and memory, JSON-ready.

    Args:
      workspace: Its `bench/federated` holds the examples meanwhile.
      users: The cohort on which packed rounds are compared with TFF's own.
      slope: Sizes of cohorts to time, of the reference tower.
      rounds: Rounds over which memory is followed; 0 for none.
      seed: Of everything that is drawn.
      progress: Told of the stages.

    Returns:
      `towers.<name>`: `packed_clients_per_s` (median round), `stock_clients_per_s`, `ratio`, `largest_difference` of a
      weight after one round, `largest_change` of a weight in that round; `slope`: `num_users`, `seconds` (median),
      `clients_per_s`; `memory`: `round`, `worker_bytes`, `parent_bytes`.

    Raises:
      FederationError: If the worker does not start or dies.
      WorkspaceError: If the disk is full or refuses.
    """
    from federated.simulation.packed.measurement import compare_with_stock, hold_bench
    from federated.simulation.packed.subjects import device_subject, reference_subject

    subjects = [reference_subject(USERS_PER_PACK["reference"]), device_subject(USERS_PER_PACK["device"], seed)]
    folder = workspace.root / "bench" / "federated"
    try:
        towers = {
            subject.name: compare_with_stock(folder, subject, users, _TIMED_ROUNDS[subject.name], seed, progress)
            for subject in subjects
        }
        with hold_bench(folder, subjects[0], max([users, *slope]), seed, progress) as bench:
            points = []
            for count in slope:
                progress.stage(f"timing rounds of {count:,} clients")
                median_s = float(np.median(bench.time_rounds(count, _SLOPE_ROUNDS)))
                points.append({"num_users": count, "seconds": median_s, "clients_per_s": count / median_s})
            progress.stage(f"following memory over {rounds:,} rounds")
            memory = bench.trace_memory(users, rounds, max(1, rounds // _TRACE_POINTS))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"seed": seed, "users_per_pack": USERS_PER_PACK, "towers": towers, "slope": points, "memory": memory}
