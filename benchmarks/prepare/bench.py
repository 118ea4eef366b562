"""The prepare stage beside one pandas pass over the same synthetic log: time, memory, and how both grow.

Each run is a process of its own, so that no run pays for another's memory. The two ways take turns.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.command import run_python
from benchmarks.prepare.child import PANDAS, STAGE
from recsys.errors import TrainingError
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

COUNTERS: Final = ("rows_in", "accepted", "duplicates", "dead_letters", "train", "validation", "users", "items")
"""What both ways must agree on; `items` is the size of the vocabulary."""

_WRITE_LOG: Final = (
    "import sys; from pathlib import Path; from benchmarks.prepare.log import write_log; root = Path(sys.argv[1]); "
    "write_log(int(sys.argv[2]), int(sys.argv[3]), root / 'events', root / 'items.parquet')"
)


def bench_prepare(
    workspace: Workspace, sizes: Sequence[int], *, repeats: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """Returns what each way costs at each size, JSON-ready.

    Args:
      workspace: The logs and what is made of them lie below its `bench/`, and are removed.
      sizes: Rows of the logs.
      repeats: Runs of each way; medians are told.
      seed: Of the logs.
      progress: Told what is under way.

    Returns:
      `sizes`, each with `rows`, `counters` (the same for both ways), `ways` (each with `seconds`, `rows_per_second`,
      `peak_bytes`, all medians, and `runs`) and `ratio` (seconds of the stage by those of pandas); `growth`, where
      there are several sizes: by way, seconds at the largest by those at the smallest.

    Raises:
      TrainingError: If a run fails, or the two ways do not agree.
    """
    results = [_measure(workspace, rows, repeats, seed, progress) for rows in sorted(set(sizes))]
    growth = {way: results[-1]["ways"][way]["seconds"] / results[0]["ways"][way]["seconds"] for way in (STAGE, PANDAS)}
    return {"seed": seed, "sizes": results, "growth": growth if len(results) > 1 else {}}


def _measure(workspace: Workspace, rows: int, repeats: int, seed: int, progress: Progress) -> dict[str, Any]:
    folder = workspace.root / "bench" / f"prepare-{rows}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        progress.stage(f"drawing {rows:,} events")
        run_python("-c", _WRITE_LOG, str(folder), str(rows), str(seed))
        runs: dict[str, list[dict[str, Any]]] = {STAGE: [], PANDAS: []}
        for number in range(repeats):
            for way, told in runs.items():
                progress.stage(f"{rows:,} events: {way}, run {number + 1} of {repeats}")
                told.append(_run(way, folder))
    finally:
        shutil.rmtree(folder)
    counters = agree({way: told[0]["counters"] for way, told in runs.items()})
    ways = {way: _summarise(rows, told) for way, told in runs.items()}
    ratio = ways[STAGE]["seconds"] / ways[PANDAS]["seconds"]
    return {"rows": rows, "counters": counters, "ways": ways, "ratio": ratio}


def agree(told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the counters that both ways tell.

    Raises:
      TrainingError: If they differ.
    """
    stage, other = ({name: told[way][name] for name in COUNTERS} for way in (STAGE, PANDAS))
    for name in COUNTERS:
        if stage[name] != other[name]:
            raise TrainingError(
                f"Expected prepare and pandas to agree on {name}, got {stage[name]} and {other[name]}. One of them "
                "breaks the rules of the stage: compare their outputs on a smaller log."
            )
    return stage


def _run(way: str, folder: Path) -> dict[str, Any]:
    run_python("-m", "benchmarks.prepare.child", way, str(folder))
    shutil.rmtree(folder / way)
    told: dict[str, Any] = json.loads((folder / f"{way}.json").read_text(encoding="utf-8"))
    return told


def _summarise(rows: int, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    seconds = float(np.median([run["seconds"] for run in runs]))
    return {
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "peak_bytes": int(np.median([run["peak_bytes"] for run in runs])),
        "runs": [{"seconds": run["seconds"], "peak_bytes": run["peak_bytes"]} for run in runs],
    }
