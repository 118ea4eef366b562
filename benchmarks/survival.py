"""Kills `tandem train` at random moments and runs it again: the bundle must be the same, file for file.

Each trial is a real command in a process group of its own, that gets SIGKILL; nothing of it can tidy up.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from recsys.contracts.bundle import FileEntry
from recsys.errors import TrainingError
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

_DATASET: Final = ("events", "catalogue", "dataset.json")
_ROOT: Final = Path(__file__).resolve().parents[1]
_SAID: Final = re.compile(r"\[ *[\d.]+ s\] +(.+)")
"""A line of the command's progress, after the seconds."""


def bench_survival(
    workspace: Workspace, *, kills: int, seed: int, progress: Progress, config: Path | None = None
) -> dict[str, Any]:
    """Returns what became of each kill, JSON-ready.

    Args:
      workspace: With a dataset; the trainings run in copies below its `bench/`, which are removed.
      kills: Trainings to kill, each at a moment of its own of the time that a whole one took.
      seed: Of the training, and of the moments.
      progress: Told after each kill.
      config: Settings of the training.

    Returns:
      `whole_seconds`; `kills`, each with `moment_s`, `during` (the last that the command had said), `was_killed` (it
      may have been faster), `rerun_seconds` and `differing` (names of files); `num_same`.

    Raises:
      WorkspaceError: If there is no dataset.
      TrainingError: If a training that is not killed fails.
    """
    workspace.read_card()
    progress.stage("training without a kill")
    with _copy(workspace, "whole") as whole:
        begin = time.perf_counter()
        _finish(whole, seed, config)
        seconds = time.perf_counter() - begin
        expected = _published(whole)
    moments = np.random.default_rng(seed).uniform(0.0, seconds, kills)
    progress.stage("killing and running again", kills)
    results = []
    for number, moment_s in enumerate(moments.tolist(), start=1):
        with _copy(workspace, f"kill-{number}") as killed:
            results.append(_kill_and_finish(killed, moment_s, seed, config, expected))
        progress.advance(number, moment_s=moment_s, differing=len(results[-1]["differing"]))
    same = sum(not result["differing"] for result in results)
    return {"seed": seed, "whole_seconds": seconds, "kills": results, "num_same": same, "files": sorted(expected)}


def _kill_and_finish(
    workspace: Workspace, moment_s: float, seed: int, config: Path | None, expected: Mapping[str, FileEntry]
) -> dict[str, Any]:
    training = _Training.start(workspace, seed, config)
    was_killed = training.kill_after(moment_s)
    during = training.last_words()
    begin = time.perf_counter()
    _finish(workspace, seed, config)
    seconds = time.perf_counter() - begin
    found = _published(workspace)
    differing = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return {
        "moment_s": moment_s,
        "during": during,
        "was_killed": was_killed,
        "rerun_seconds": seconds,
        "differing": differing,
    }


@dataclass(frozen=True)
class _Training:
    """A running `tandem train`, the leader of its own process group."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, workspace: Workspace, seed: int, config: Path | None) -> _Training:
        command = [sys.executable, "-m", "cli", "train", "--workspace", str(workspace.root), "--seed", str(seed)]
        command += ["--config", str(config)] if config else []
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
        log = workspace.root / "train.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=sink, start_new_session=True
            )
        return cls(process, log)

    def kill_after(self, moment_s: float) -> bool:
        """Returns whether it was still running."""
        try:
            self.process.wait(moment_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return True
        return False

    def last_words(self) -> str:
        """Returns what it last said that it was doing."""
        said = _SAID.findall(self.log.read_text(encoding="utf-8", errors="replace"))
        return said[-1] if said else "starting"


def _finish(workspace: Workspace, seed: int, config: Path | None) -> None:
    training = _Training.start(workspace, seed, config)
    try:
        code = training.process.wait()
    except BaseException:
        training.kill_after(0.0)
        raise
    if code:
        words = training.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise TrainingError(f"Expected `tandem train` on a copy of the workspace to end well, got code {code}: {words}")


def _published(workspace: Workspace) -> Mapping[str, FileEntry]:
    """Checksums of the current bundle, once it has been verified."""
    return BundleRegistry(workspace).current().manifest.files


@contextmanager
def _copy(workspace: Workspace, name: str) -> Iterator[Workspace]:
    """Gives a workspace with the same dataset and nothing else."""
    root = workspace.root / "bench" / f"survival-{name}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for piece in _DATASET:
        source = workspace.root / piece
        if source.is_dir():
            shutil.copytree(source, root / piece)
        else:
            shutil.copy2(source, root / piece)
    try:
        yield Workspace(root)
    finally:
        shutil.rmtree(root)
