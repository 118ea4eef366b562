"""The cloud's training job: prepare → statistics → retrieval → ranker → device → embed → index → publish.

Beam and TensorFlow are imported where a stage that needs them runs: a rerun with nothing to do imports neither.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.logs import quiet_logs
from pipelines.prepare.layout import EVENTS, REPORT, VOCABULARY
from pipelines.publish import StageFolders, publish
from pipelines.sessions import fill_sessions
from pipelines.stages import Stage, checkpoints_of, key_of, run_stage
from pipelines.training.trail import Trail
from recsys.config import CloudSettings, DeviceSettings
from recsys.contracts import bundle as names
from recsys.errors import TrainingError, WorkspaceError
from recsys.progress import Progress
from recsys.storage.atomic import write_file
from recsys.storage.checksum import describe_file
from recsys.storage.lock import hold_lock
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace

PREPARE_VERSION = 1
STATISTICS_VERSION = 1
RETRIEVAL_VERSION = 2
RANKER_VERSION = 4
DEVICE_VERSION = 1
EMBED_VERSION = 2
INDEX_VERSION = 2

_LOCK = ".train.lock"
_METRICS = "metrics.json"
_RETRIEVAL_WEIGHTS = "retrieval.npz"


def train(
    workspace: Workspace,
    settings: CloudSettings,
    seed: int,
    progress: Progress,
    device: DeviceSettings | None = None,
    beam_flags: Sequence[str] = (),
) -> Bundle:
    """Trains on the consented log of a workspace and publishes a bundle.

    A second run does only what changed; a killed run is taken up at the stage that it was in, training after the last
    epoch that it had finished. Runs on one workspace wait for each other.

    Args:
      workspace: Holds an ingested dataset.
      settings: Of all stages.
      seed: Of training. Equal data, settings and seed give an equal bundle, unless the clock
        (`retrieval.max_seconds`) stopped the training.
      progress: A listener.
      device: Shape of the device tower that the bundle starts with; the defaults where it is None.
      beam_flags: Beam's own flags, such as `--runner=FlinkRunner`; none means in this process.

    Raises:
      WorkspaceError: If there is no dataset, or the disk is full.
      DatasetError: If a file of the dataset is broken.
      TrainingError: If there is nothing to learn from, the loss diverges, or the index is worse than its floor; then
        nothing is published.
    """
    workspace.read_card()
    with hold_lock(workspace.root / _LOCK):
        return _Run(workspace, settings, seed, progress, device or DeviceSettings(), tuple(beam_flags)).execute()


@dataclass(frozen=True)
class _Run:
    """One run of the job; each stage depends on the checksums of what it reads, and on its own settings."""

    workspace: Workspace
    settings: CloudSettings
    seed: int
    progress: Progress
    device: DeviceSettings
    beam_flags: tuple[str, ...]

    def execute(self) -> Bundle:
        """Runs all stages, publishes, and writes the run's report."""
        begin = time.perf_counter()
        prepared = self._prepare()
        counters = json.loads((prepared.folder / REPORT).read_text(encoding="utf-8"))
        self._tell(prepared, f"{counters['accepted']} of {counters['rows_in']} rows accepted")
        if not counters["train"]:
            raise TrainingError(
                f"Expected events to learn from in {self.workspace.events}, got none that is lawful: see the reasons "
                f"in {prepared.folder / REPORT}."
            )
        counted = self._told(self._count(prepared))
        retrieved = self._told(self._retrieve(prepared))
        ranked = self._told(self._rank(prepared, counted, retrieved))
        device = self._told(self._shape_device())
        embedded = self._told(self._embed(prepared, retrieved))
        indexed = self._told(self._index(prepared, retrieved, embedded))
        stages = (prepared, counted, retrieved, ranked, device, embedded, indexed)
        measured = (retrieved, ranked, indexed)
        metrics = {name: value for stage in measured for name, value in _read_metrics(stage).items()}
        self.progress.stage("publishing the bundle")
        folders = StageFolders(*(stage.folder for stage in stages))
        bundle = publish(self.workspace, folders, self.settings.retrieval.history_length, metrics)
        fill_sessions(self.workspace, prepared.folder)
        self._report(bundle, stages, counters, metrics, time.perf_counter() - begin)
        return bundle

    def _prepare(self) -> Stage:
        self.progress.stage("preparing examples")
        inputs = {
            "events": {
                path.name: describe_file(path).sha256 for path in sorted(self.workspace.events.glob("*.parquet"))
            },
            "items": _checksum(self.workspace.items),
            "settings": self.settings.prepare.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.prepare.job import prepare

            prepare(self.workspace.events, self.workspace.items, folder, self.settings.prepare, self.beam_flags)

        return run_stage(self.workspace.examples, "prepare", PREPARE_VERSION, inputs, build)

    def _count(self, prepared: Stage) -> Stage:
        self.progress.stage("counting what follows what")
        inputs = {
            "examples": prepared.checksums(f"{EVENTS}/*.parquet", VOCABULARY),
            "settings": self.settings.statistics.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.statistics.job import count_statistics

            count_statistics(prepared.folder, folder, self.settings.statistics, self.beam_flags)

        return run_stage(self.workspace.models, "statistics", STATISTICS_VERSION, inputs, build)

    def _retrieve(self, prepared: Stage) -> Stage:
        self.progress.stage("training")
        inputs = {
            "examples": prepared.checksums(f"{EVENTS}/*.parquet", VOCABULARY),
            "settings": self.settings.retrieval.model_dump(mode="json"),
            "seed": self.seed,
        }

        def build(folder: Path) -> None:
            from pipelines.training.stage import train_retrieval

            trail = self._trail(folder)
            train_retrieval(prepared.folder, folder, self.settings.retrieval, self.seed, self.progress, trail)

        return run_stage(self.workspace.models, "retrieval", RETRIEVAL_VERSION, inputs, build)

    def _rank(self, prepared: Stage, counted: Stage, retrieved: Stage) -> Stage:
        self.progress.stage("training the ranker")
        inputs = {
            "examples": prepared.checksums(f"{EVENTS}/*.parquet", VOCABULARY),
            "statistics": counted.checksums(names.ITEM_TO_ITEM_FILE),
            "retrieval": retrieved.checksums(_RETRIEVAL_WEIGHTS),
            "settings": self.settings.ranker.model_dump(mode="json"),
            "seed": self.seed,
        }

        def build(folder: Path) -> None:
            from pipelines.training.stage import RankerSources, train_ranker

            trail = self._trail(folder)
            sources = RankerSources(prepared.folder, counted.folder, retrieved.folder)
            train_ranker(sources, folder, self.settings, self.seed, self.progress, trail)

        return run_stage(self.workspace.models, "ranker", RANKER_VERSION, inputs, build)

    def _shape_device(self) -> Stage:
        dim = self.settings.retrieval.dim
        inputs = {"dim": dim, "settings": self.device.model_dump(mode="json"), "seed": self.seed}

        def build(folder: Path) -> None:
            from pipelines.training.stage import make_device_tower

            make_device_tower(folder, dim, self.device, self.seed)

        return run_stage(self.workspace.models, "device", DEVICE_VERSION, inputs, build)

    def _trail(self, folder: Path) -> Trail:
        return Trail(checkpoints_of(folder), self.workspace.curves / key_of(folder))

    def _embed(self, prepared: Stage, retrieved: Stage) -> Stage:
        self.progress.stage("embedding the catalogue")
        tower = retrieved.folder / names.ITEM_TOWER_FILE
        inputs = {"vocabulary": prepared.checksums(VOCABULARY), "tower": retrieved.checksums(tower.name)}

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.embed.job import embed

            embed(prepared.folder / VOCABULARY, tower, folder, self.beam_flags)

        return run_stage(self.workspace.models, "embed", EMBED_VERSION, inputs, build)

    def _index(self, prepared: Stage, retrieved: Stage, embedded: Stage) -> Stage:
        self.progress.stage("building the index")
        tower = retrieved.folder / names.QUERY_TOWER_FILE
        vectors = embedded.folder / names.EMBEDDINGS_FILE
        inputs = {
            "examples": prepared.checksums(f"{EVENTS}/*.parquet", VOCABULARY),
            "embeddings": embedded.checksums(vectors.name),
            "tower": retrieved.checksums(tower.name),
            "settings": self.settings.index.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            from pipelines.index.job import build_index

            build_index(prepared.folder, vectors, tower, self.settings.index, folder)

        return run_stage(self.workspace.models, "index", INDEX_VERSION, inputs, build)

    def _told(self, stage: Stage) -> Stage:
        self._tell(stage)
        return stage

    def _tell(self, stage: Stage, figures: str = "") -> None:
        state = "unchanged, made earlier" if stage.reused else "done"
        self.progress.note(f"{stage.name}: {state} in {stage.seconds:.1f} s" + (f"; {figures}" if figures else ""))

    def _report(
        self,
        bundle: Bundle,
        stages: Sequence[Stage],
        counters: dict[str, Any],
        metrics: dict[str, float],
        seconds: float,
    ) -> None:
        report = {
            "version": bundle.manifest.version,
            "dataset": bundle.manifest.dataset,
            "split_fingerprint": bundle.manifest.split_fingerprint,
            "seed": self.seed,
            "settings": self.settings.model_dump(mode="json"),
            "stages": [
                {"name": stage.name, "key": stage.key, "reused": stage.reused, "seconds": stage.seconds}
                for stage in stages
            ],
            "counters": counters,
            "metrics": metrics,
            "seconds": round(seconds, 3),
        }
        path = self.workspace.reports / f"train-{bundle.manifest.version}.json"
        write_file(path, (json.dumps(report, indent=1, sort_keys=True) + "\n").encode())


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise WorkspaceError(f"Expected the file {path}, got none. Run `tandem ingest` first.")
    return describe_file(path).sha256


def _read_metrics(stage: Stage) -> dict[str, float]:
    return json.loads((stage.folder / _METRICS).read_text(encoding="utf-8"))
