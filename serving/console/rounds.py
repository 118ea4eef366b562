"""Federated runs, read from what each round left in the workspace: figures of cohorts, nothing of a person."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from recsys.contracts.bundle import DEVICE_WEIGHTS_FILE
from recsys.storage.workspace import Workspace

ROUNDS_FILE: Final = "rounds.jsonl"

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

_BYTES_A_WEIGHT: Final = 4
_BYTES_OF_THE_SHARE: Final = 4
"""An update travels with its weight in the average, one float32."""


@dataclass(frozen=True)
class Run:
    """One federated run.

    Attributes:
      name: Folder under `federated/`.
      base_version: The bundle whose device tower it started from.
      rounds: Figures by name for each finished round; `epsilon` only where the run spent and noted one.
      bytes_down: What one client receives in a round: the tower's weights as float32. None where the bundle is gone.
      bytes_up: What it sends.
    """

    name: str
    base_version: str
    rounds: list[dict[str, float]]
    bytes_down: int | None
    bytes_up: int | None


def read_runs(workspace: Workspace, count: int) -> list[Run]:
    """Returns the latest `count` runs that finished a round, the latest first."""
    files = [path for path in workspace.federated.glob(f"*/{ROUNDS_FILE}") if path.is_file()]
    files.sort(key=lambda path: (path.stat().st_mtime_ns, path.parent.name), reverse=True)
    runs = (_read_run(workspace, path) for path in files[:count])
    return [run for run in runs if run.rounds]


def _read_run(workspace: Workspace, path: Path) -> Run:
    name = path.parent.name
    base_version = name.rpartition("-")[0]
    num_weights = _count_weights(workspace.bundles / base_version / DEVICE_WEIGHTS_FILE)
    bytes_down = None if num_weights is None else num_weights * _BYTES_A_WEIGHT
    bytes_up = None if bytes_down is None else bytes_down + _BYTES_OF_THE_SHARE
    return Run(name, base_version, _read_rounds(path), bytes_down, bytes_up)


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


def _count_weights(path: Path) -> int | None:
    """Returns how many numbers the device tower has; None where the file is gone or is none of ours."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return sum(int(arrays[name].size) for name in arrays.files)
    except (OSError, ValueError, EOFError, KeyError):
        return None
