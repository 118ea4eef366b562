"""Federated runs, read from what each round left in the workspace: figures of cohorts, nothing of a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from recsys.storage.workspace import Workspace

ROUNDS_FILE: Final = "rounds.jsonl"
SETTINGS_FILE: Final = "settings.json"

_FIGURES: Final = (
    "round_number",
    "num_clients",
    "num_examples",
    "loss",
    "ndcg_at_10",
    "seconds",
    "clients_per_s",
    "bytes_up",
    "bytes_down",
    "epsilon",
)
"""What is shown of a round; whatever else a run may note stays where it is."""


@dataclass(frozen=True)
class Run:
    """One federated run.

    Attributes:
      name: Folder under `federated/`.
      base_version: The bundle whose device tower it started from.
      rounds: Figures by name for each finished round; `epsilon` only where the run spent and noted one.
      algorithm: How rounds change the tower; None where the run did not note it, as in an earlier version.
      aggregator: How updates become a mean; None likewise.
      delta: How likely an epsilon may fail; None likewise.
    """

    name: str
    base_version: str
    rounds: list[dict[str, float]]
    algorithm: str | None
    aggregator: str | None
    delta: float | None


def read_runs(workspace: Workspace, count: int) -> list[Run]:
    """Returns the latest `count` runs that finished a round, the latest first."""
    files = [path for path in workspace.federated.glob(f"*/{ROUNDS_FILE}") if path.is_file()]
    files.sort(key=lambda path: (path.stat().st_mtime_ns, path.parent.name), reverse=True)
    runs = (_read_run(path) for path in files[:count])
    return [run for run in runs if run.rounds]


def _read_run(path: Path) -> Run:
    noted = _read_settings(path.with_name(SETTINGS_FILE))
    algorithm, aggregator = _find(noted, "rounds", "algorithm"), _find(noted, "aggregation", "kind")
    delta = _find(noted, "privacy", "delta")
    return Run(
        name=path.parent.name,
        base_version=path.parent.name.rpartition("-")[0],
        rounds=_read_rounds(path),
        algorithm=algorithm if isinstance(algorithm, str) else None,
        aggregator=aggregator if isinstance(aggregator, str) else None,
        delta=delta if isinstance(delta, float) and np.isfinite(delta) else None,
    )


def _read_settings(path: Path) -> object:
    """Returns what the run noted of its settings; None where it noted nothing that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _find(noted: object, section: str, name: str) -> object:
    part = noted.get(section) if isinstance(noted, Mapping) else None
    return part.get(name) if isinstance(part, Mapping) else None


def _read_rounds(path: Path) -> list[dict[str, float]]:
    """Returns the finished rounds; a line that cannot be read ends them."""
    rounds: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            break
        if not isinstance(found, dict):
            break
        rounds.append(_figures_of(found))
    return rounds


def _figures_of(found: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: found[name] for name in _FIGURES if isinstance(found.get(name), int | float)}
    return {name: value for name, value in numbers.items() if np.isfinite(value)}
