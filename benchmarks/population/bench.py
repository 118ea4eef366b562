"""One federated round out of populations that grow: what is held in memory must not grow with their logs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

from benchmarks.command import run_python
from benchmarks.population.drawing import draw_log, measure_bytes
from recsys.progress import Progress
from recsys.storage.workspace import Workspace


def bench_population(
    workspace: Workspace, people: Sequence[int], *, events: Sequence[int], clients: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Returns what the shards and a round cost, JSON-ready.

    Args:
      workspace: With a bundle; populations lie below its `bench/` and are removed.
      people: Sizes of the populations.
      events: Lengths of everybody's history; each size is measured with each.
      clients: Who takes part in the round.
      seed: Of the logs and of the round.
      progress: Told what is under way.

    Returns:
      `populations`, each with `num_people`, `num_events` (of each person), `device_bytes` (all shards), `shards`
      (`seconds` and `peak_bytes` of the job that wrote them) and `round` (`list_seconds` until everybody is known,
      `round_seconds`, `num_clients`, `num_examples`, `peak_bytes` of the process without TFF's worker).

    Raises:
      WorkspaceError: If there is no bundle, or the disk is full.
      TrainingError: If a process that is measured fails.
    """
    sizes = [(count, length) for count in sorted(set(people)) for length in sorted(set(events))]
    return {"seed": seed, "populations": [_measure(workspace, *size, clients, seed, progress) for size in sizes]}


def _measure(
    workspace: Workspace, num_people: int, num_events: int, clients: int, seed: int, progress: Progress
) -> dict[str, Any]:
    place = Workspace(workspace.root / "bench" / f"population-{num_people}-{num_events}")
    shutil.rmtree(place.root, ignore_errors=True)
    title = f"{num_people:,} people of {num_events:,} events"
    try:
        progress.stage(f"drawing {title}")
        draw_log(workspace, place, num_people, num_events, seed)
        progress.stage(f"{title}: writing the shards")
        shards = _run("shards", place, num_people)
        progress.stage(f"{title}: a round of {clients:,}")
        return {
            "num_people": num_people,
            "num_events": num_events,
            "device_bytes": measure_bytes(place.devices),
            "shards": shards,
            "round": _run("round", place, clients, seed),
        }
    finally:
        shutil.rmtree(place.root, ignore_errors=True)


def _run(what: str, place: Workspace, *numbers: int) -> dict[str, Any]:
    run_python("-m", "benchmarks.population.child", what, str(place.root), *map(str, numbers))
    told: dict[str, Any] = json.loads((place.root / f"{what}.json").read_text(encoding="utf-8"))
    return told
