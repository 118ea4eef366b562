"""Kills `tandem train` in the middle of its stages and runs it again: the bundle must be the same, file for file.

Each trial is a real command in a process group of its own, that gets SIGKILL; nothing of it can tidy up. The moments
are drawn, but every stage is hit before one is hit again: retrieval takes most of the time, so that moments drawn from
the whole run would hardly ever meet the others.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.command import Command
from recsys.contracts.bundle import FileEntry
from recsys.contracts.teacher import TEACHER_FILE
from recsys.errors import ConfigError, TrainingError
from recsys.progress import Progress
from recsys.storage.checksum import describe_file
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

STAGES: Final = (
    "prepare",
    "statistics",
    "recount",
    "retrieval",
    "ranker",
    "device",
    "embed",
    "teacher",
    "index",
    "publish",
)
"""Of the job, in their order."""

_DATASET: Final = ("events", "catalogue", "dataset.json")
_STAGE_ENDS: Final = re.compile(r"\] (\w+): (?:done|unchanged, made earlier) in ")
_REPORT: Final = "train-*.json"
"""What the job writes last."""
_CURVES: Final = re.compile(r"events\.out\.tfevents\..*")
"""TensorBoard names its files by time and process."""
_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Span:
    """A stage of the job, and how long a training that was left alone took for it."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Kill:
    """Where a training is killed: so long after the stage before `stage` had ended."""

    stage: str
    after_s: float


def bench_survival(
    workspace: Workspace,
    *,
    kills: int,
    seed: int,
    progress: Progress,
    config: Path | None = None,
    stages: Sequence[str] = STAGES,
) -> dict[str, Any]:
    """Returns what became of each kill, JSON-ready.

    Args:
      workspace: With a dataset; the trainings run in copies below its `bench/`, which are removed.
      kills: Trainings to kill; as many as there are stages, and each is meant once.
      seed: Of the training, and of the moments.
      progress: Told after each kill.
      config: Settings of the training.
      stages: Where to kill.

    Returns:
      `whole_seconds`; `stages` (seconds of each in a whole training); `kills`, each with `stage` (that it was meant
      for), `after_s` (of its beginning), `hit` (the stage that ran then, a later one if this training was the faster;
      None where it had ended), `rerun_seconds`, `differing` (names of files of the bundle, and the teacher's beside it)
      and `left_behind` (files of the workspace that the whole training does not have); `num_same`; `files`.

    Raises:
      WorkspaceError: If there is no dataset.
      TrainingError: If a training that is not killed fails.
    """
    workspace.read_card()
    progress.stage("training without a kill")
    with _copy(workspace, "whole") as whole:
        spans, seconds = _Training.start(whole, seed, config).time_stages()
        expected = _Outcome.read(whole)
    order, meant = [span.stage for span in spans], [span for span in spans if span.stage in stages]
    progress.stage("killing and running again", kills)
    results = []
    for number, kill in enumerate(plan_kills(meant, kills, seed), start=1):
        with _copy(workspace, f"kill-{number}") as killed:
            hit = _Training.start(killed, seed, config).kill(kill, order)
            results.append({"stage": kill.stage, "after_s": kill.after_s, "hit": hit})
            results[-1] |= _finish(killed, seed, config, expected)
        progress.advance(number, differing=len(results[-1]["differing"]), left_behind=len(results[-1]["left_behind"]))
    return {
        "seed": seed,
        "whole_seconds": seconds,
        "stages": {span.stage: span.seconds for span in spans},
        "kills": results,
        "num_same": sum(not result["differing"] for result in results),
        "files": sorted(expected.published),
    }


def choose_stages(names: str | None) -> tuple[str, ...]:
    """Returns the stages that a list with commas names; all where there is none.

    Raises:
      ConfigError: If the job has no such stage.
    """
    if names is None:
        return STAGES
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in STAGES]
    if unknown or not wanted:
        raise ConfigError(f"Expected stages out of {', '.join(STAGES)}, got {', '.join(unknown) or 'none'}.")
    return tuple(wanted)


def plan_kills(spans: Sequence[Span], kills: int, seed: int) -> list[Kill]:
    """Draws where to kill, in the order of the stages.

    Args:
      spans: Of a whole training.
      kills: How many; no stage is hit twice before each was hit once, those beyond that fall on long stages rather.
      seed: Of the draw.
    """
    draw = np.random.default_rng(seed)
    seconds = np.array([max(span.seconds, _POLL_S) for span in spans])
    share = seconds / seconds.sum()
    first = draw.choice(len(spans), min(kills, len(spans)), replace=False, p=share)
    chosen = np.sort(np.concatenate([first, draw.choice(len(spans), kills - len(first), p=share)]))
    moments = draw.uniform(0.0, seconds[chosen])
    return [Kill(spans[place].stage, float(after_s)) for place, after_s in zip(chosen, moments, strict=True)]


@dataclass(frozen=True)
class _Training:
    """A running `tandem train`."""

    command: Command
    workspace: Workspace

    @classmethod
    def start(cls, workspace: Workspace, seed: int, config: Path | None) -> _Training:
        return cls(Command.start("train", workspace, seed, config), workspace)

    def time_stages(self) -> tuple[list[Span], float]:
        """Waits for the end; returns the stages in their order, and the seconds of the whole.

        Raises:
          TrainingError: If it fails.
        """
        spans: list[Span] = []
        before_s, runs = self.command.begin_s, True
        while runs:
            runs, now_s = self.command.runs(_POLL_S), time.perf_counter()
            for stage in self._ended()[len(spans) :]:
                spans.append(Span(stage, now_s - before_s))
                before_s = now_s
        self.finish()
        return spans, time.perf_counter() - self.command.begin_s

    def kill(self, kill: Kill, stages: Sequence[str]) -> str | None:
        """Kills it there; returns the stage that it was in, None where the job was done."""
        before = stages.index(kill.stage)
        while self.command.runs(_POLL_S) and len(self._ended()) < before:
            pass
        if self.command.runs(kill.after_s):
            self.command.stop()
        num_ended = len(self._ended())
        return stages[num_ended] if num_ended < len(stages) else None

    def finish(self) -> None:
        """Waits for the end.

        Raises:
          TrainingError: If it fails.
        """
        code = self.command.end()
        if code:
            raise TrainingError(
                "Expected `tandem train` on a copy of the workspace to end well, "
                f"got code {code}: {self.command.last_words()}"
            )

    def _ended(self) -> list[str]:
        """Returns the stages that have ended, by the words of the job; the last one has when its report is there."""
        ended = _STAGE_ENDS.findall(self.command.read_log())
        return [*ended, STAGES[-1]] if any(self.workspace.reports.glob(_REPORT)) else ended


@dataclass(frozen=True)
class _Outcome:
    """What a training left.

    Attributes:
      published: Name to checksum of the bundle's files, once it has been verified, and of the teacher's.
      paths: Of all files of the workspace; those of learning curves without time and process in their names.
    """

    published: Mapping[str, FileEntry]
    paths: frozenset[str]

    @classmethod
    def read(cls, workspace: Workspace) -> _Outcome:
        manifest = BundleRegistry(workspace).current().manifest
        teacher = describe_file(workspace.teacher(manifest.version))
        paths = (path.relative_to(workspace.root) for path in workspace.root.rglob("*") if path.is_file())
        named = frozenset(path.with_name(_CURVES.sub("curve", path.name)).as_posix() for path in paths)
        return cls({**manifest.files, TEACHER_FILE: teacher}, named)


def _finish(workspace: Workspace, seed: int, config: Path | None, expected: _Outcome) -> dict[str, Any]:
    """Runs the training again, to its end."""
    training = _Training.start(workspace, seed, config)
    training.finish()
    seconds = time.perf_counter() - training.command.begin_s
    found = _Outcome.read(workspace)
    names = {*expected.published, *found.published}
    return {
        "rerun_seconds": seconds,
        "differing": sorted(name for name in names if expected.published.get(name) != found.published.get(name)),
        "left_behind": sorted(found.paths - expected.paths),
    }


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
