"""Kills `tandem federate` at random moments and runs it again: the rounds must end with the same weights, bit for bit.

Each trial is a real command in a process group of its own, that gets SIGKILL; nothing of it can tidy up. TFF's worker,
which lives in another group, must end with it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.command import Command
from recsys.errors import FederationError
from recsys.progress import Progress
from recsys.storage.workspace import Workspace

_LEFT_OUT: Final = ("bench", "reports", "federated", "models", "examples")
"""Of a workspace, what rounds neither need nor are compared by."""

_GONE_S: Final = 10.0
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class _Outcome:
    """What a run left: its rounds as they were written, and the arrays of the state after the last."""

    rounds: str
    leaves: tuple[np.ndarray[Any, Any], ...]

    @classmethod
    def read(cls, workspace: Workspace) -> _Outcome:
        folder = next(iter(sorted(workspace.federated.iterdir())))
        last = sorted(folder.glob("state-*.npz"))[-1]
        with np.load(last, allow_pickle=False) as arrays:
            return cls((folder / "rounds.jsonl").read_text(), tuple(arrays[name] for name in arrays.files))

    def is_like(self, other: _Outcome) -> bool:
        """Whether both ended with the same weights, bit for bit, after as many rounds."""
        same = [np.array_equal(one, two) for one, two in zip(self.leaves, other.leaves, strict=True)]
        return all(same) and self.rounds.count("\n") == other.rounds.count("\n")


def bench_resumption(
    workspace: Workspace, *, kills: int, seed: int, progress: Progress, config: Path | None = None
) -> dict[str, Any]:
    """Returns what became of each kill, JSON-ready.

    Args:
      workspace: With devices and a bundle; the runs happen in copies below its `bench/`, which are removed.
      kills: Runs to kill.
      seed: Of the rounds, and of the moments.
      progress: Told after each kill.
      config: Settings of the rounds.

    Returns:
      `whole_seconds`; `kills`, each with `after_s`, `num_finished` (rounds that were kept then), `rerun_seconds`,
      `is_same` and `num_workers_left`; `num_same`.

    Raises:
      FederationError: If a run that is not killed fails.
    """
    progress.stage("running without a kill")
    with _copy(workspace, "whole") as whole:
        began = time.perf_counter()
        _finish(_start(whole, seed, config))
        whole_s, expected = time.perf_counter() - began, _Outcome.read(whole)
    progress.stage("killing and running again", kills)
    results: list[dict[str, Any]] = []
    for number, after_s in enumerate(np.random.default_rng(seed).uniform(0.0, whole_s, kills).tolist(), start=1):
        with _copy(workspace, f"kill-{number}") as killed:
            command = _start(killed, seed, config)
            if command.runs(after_s):
                command.stop()
            left = count_workers(killed.root)
            finished = len(list(killed.federated.glob("*/state-*.npz")))
            began = time.perf_counter()
            _finish(_start(killed, seed, config))
            results.append(
                {
                    "after_s": after_s,
                    "num_finished": finished,
                    "num_workers_left": left,
                    "rerun_seconds": time.perf_counter() - began,
                    "is_same": _Outcome.read(killed).is_like(expected),
                }
            )
        progress.advance(number, same=sum(result["is_same"] for result in results))
    return {
        "seed": seed,
        "whole_seconds": whole_s,
        "num_rounds": expected.rounds.count("\n"),
        "kills": results,
        "num_same": sum(result["is_same"] for result in results),
    }


def _start(workspace: Workspace, seed: int, config: Path | None) -> Command:
    return Command.start("federate", workspace, seed, config)


def _finish(command: Command) -> None:
    code = command.end()
    if code:
        raise FederationError(
            f"Expected `tandem federate` on a copy of the workspace to end well, got {code}: {command.last_words()}"
        )


def count_workers(root: Path) -> int:
    """Returns how many processes still write below a folder, some time after they should have ended (Linux)."""
    deadline = time.monotonic() + _GONE_S
    while (found := len(_find_writers(root))) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return found


def _find_writers(root: Path) -> list[int]:
    writers = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                target = (entry / "fd" / "1").readlink()
            except OSError:  # ended meanwhile, or another's
                continue
            if target.is_relative_to(root.resolve()):
                writers.append(int(entry.name))
    return writers


@contextmanager
def _copy(workspace: Workspace, name: str) -> Iterator[Workspace]:
    """Gives a workspace with the same devices and bundles, and no rounds."""
    root = workspace.root / "bench" / f"resumption-{name}"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(workspace.root, root, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    try:
        yield Workspace(root)
    finally:
        shutil.rmtree(root)
