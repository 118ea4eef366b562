"""Chooses settings of baselines on a protocol's validation part: `python -m benchmarks.selection P2 ease`.

The best NDCG@10 wins. The result is written into the protocol's module by hand: a run of the benchmark chooses nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np

from benchmarks.arms import ARMS
from benchmarks.evaluation import measure, rank_targets
from benchmarks.protocols.registry import read_task
from benchmarks.task import Task

Grid = Mapping[str, Sequence[float]]

GRIDS: Final[dict[str, Grid]] = {
    "recent_popularity": {"recent_share": (0.02, 0.05, 0.1, 0.2, 0.4)},
    "item_knn": {"knn_neighbours": (20, 50, 100, 200, 400), "knn_shrinkage": (0.0, 20.0, 100.0)},
    "ease": {"ease_l2": (50.0, 100.0, 200.0, 400.0, 800.0, 1_600.0)},
    "recent_ease": {
        "recency_ease_l2": (100.0, 200.0, 400.0, 800.0),
        "recency_half_life": (2.0, 3.0, 5.0, 10.0),
        "recency_floor": (0.02, 0.05, 0.1),
    },
    "transitions": {
        "transition_decay": (0.7, 0.8, 0.9),
        "transition_half_life": (1.0, 2.0, 4.0, 8.0),
        "transition_popularity": (0.0, 0.15, 0.3),
    },
    "ials": {"ials_factors": (16, 32, 64, 128), "ials_l2": (0.1, 3.0, 30.0), "ials_alpha": (1.0, 4.0)},
}
"""Settings tried of each arm. The blend is made of what was chosen for its parts."""


def select(task: Task, arm: str, grid: Grid) -> Iterator[tuple[dict[str, float], float]]:
    """Yields each combination of settings with its NDCG@10 in the task's first group.

    Args:
      task: That asks for the validation part.
      arm: A baseline.
      grid: Values of each setting.
    """
    rows = next(iter(task.groups.values()), np.ones(len(task.requests), np.bool_))
    build = ARMS[arm].build
    for values in product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        if build is not None:
            model = build(replace(task.settings, **chosen))
            model.fit(task.log, 0)
            ranks = rank_targets(model.score, task.log, task.requests)
            yield chosen, float(measure(task.requests, ranks)["ndcg_at_10"][rows].mean())


def main(protocol: str, *arms: str) -> None:
    """Prints the best settings of each arm (all where none is named) under a protocol, beside those in use."""
    task = read_task(protocol, None, "validation")
    for arm in arms or GRIDS:
        chosen, ndcg = max(select(task, arm, GRIDS[arm]), key=lambda pair: pair[1])
        in_use = {name: getattr(task.settings, name) for name in GRIDS[arm]}
        print(f"{protocol} {arm}: {chosen} {ndcg:.4f}; in use {in_use}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
