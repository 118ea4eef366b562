"""The cloud's training job: prepare → statistics → retrieval → ranker → device → embed → teacher → index → publish.

Beam and TensorFlow are imported where a stage that needs them runs: a rerun with nothing to do imports neither.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.inbox import settled
from pipelines.ancestor import DEVICE_FILES, Ancestor, say_delta
from pipelines.flink.flags import flags_of
from pipelines.logs import quiet_logs
from pipelines.prepare.layout import EVENTS, REPORT, VOCABULARY
from pipelines.publish import StageFolders, publish
from pipelines.run_report import say_stage, write_report
from pipelines.sessions import fill_sessions
from pipelines.stages import Stage, checkpoints_of, key_of, run_stage
from pipelines.teaching import Schooled, hand_over, teach
from pipelines.training.trail import Trail
from recsys.config.cloud import CloudSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts import bundle as names
from recsys.errors import TrainingError, WorkspaceError
from recsys.progress import Progress
from recsys.storage.checksum import describe_file
from recsys.storage.lock import hold_lock
from recsys.storage.registry import Bundle
from recsys.storage.workspace import TRAIN_LOCK, Workspace

PREPARE_VERSION = 2
STATISTICS_VERSION = 2
RETRIEVAL_VERSION = 3
RANKER_VERSION = 5
DEVICE_VERSION = 1
EMBED_VERSION = 3
INDEX_VERSION = 2

_METRICS = "metrics.json"
_RETRIEVAL_WEIGHTS = "retrieval.npz"
_RANKER_WEIGHTS = "ranker.npz"


def train(
    workspace: Workspace,
    settings: CloudSettings,
    seed: int,
    progress: Progress,
    device: DeviceSettings | None = None,
    beam_flags: Sequence[str] = (),
    fine_tune: bool = False,
) -> Bundle:
    """Trains on the consented log of a workspace, with what the server received since, and publishes a bundle.

    A second run does only what changed; a killed run is taken up at the stage that it was in, training after the last
    epoch that it had finished. Runs on one workspace wait for each other.

    Args:
      workspace: Holds an ingested dataset.
      settings: Of all stages.
      seed: Of training. Equal data, settings and seed give an equal bundle, unless the clock
        (`retrieval.max_seconds`) stopped the training.
      progress: A listener.
      device: Shape of the device tower that the bundle starts with; the defaults where it is None.
      beam_flags: Beam's own flags, such as `--runner=SparkRunner`, behind those of `settings.runner`.
      fine_tune: Whether to go on from the models of the current bundle, for a few epochs at a lower rate. Its device
        tower is kept as the rounds left it. Where nothing was added to the log since, that bundle is returned.

    Raises:
      WorkspaceError: If there is no dataset, no bundle to fine-tune, or the disk is full.
      BundleError: If the models to fine-tune were trained with other sizes.
      ConfigError: If `settings.runner` names a cluster that does not answer.
      DatasetError: If a file of the dataset is broken.
      TrainingError: If there is nothing to learn from, the loss diverges, or the index is worse than its floor; then
        nothing is published.
    """
    workspace.read_card()
    with hold_lock(workspace.root / TRAIN_LOCK), settled(workspace, progress):
        base = Ancestor.current(workspace) if fine_tune else None
        settings = settings.for_fine_tuning() if base else settings
        run = _Run(workspace, settings, seed, progress, device or DeviceSettings(), tuple(beam_flags), base)
        return run.execute()


@dataclass(frozen=True)
class _Run:
    """One run of the job; each stage depends on the checksums of what it reads, and on its own settings."""

    workspace: Workspace
    settings: CloudSettings
    seed: int
    progress: Progress
    device: DeviceSettings
    beam_flags: tuple[str, ...]
    base: Ancestor | None = None

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
        if self.base is not None:
            self.base.check_vocabulary(prepared.folder / VOCABULARY)
            if _examples(prepared) in self.base.examples:
                self.progress.note(f"Nothing new since bundle {self.base.bundle.manifest.version}: nothing to do.")
                fill_sessions(self.workspace, prepared.folder)  # the run that published it may have ended before
                return self.base.bundle
        counted = self._told(self._count(prepared))
        retrieved = self._told(self._retrieve(prepared))
        ranked = self._told(self._rank(prepared, counted, retrieved))
        device = self._told(self._shape_device())
        embedded = self._told(self._embed(prepared, retrieved))
        schooled = Schooled(prepared, counted, retrieved, ranked, embedded)
        self.progress.stage("writing what the ranker teaches")
        taught = self._told(teach(self.workspace, schooled, self.settings, self.seed))
        indexed = self._told(self._index(prepared, retrieved, embedded))
        told = [_read_metrics(stage) for stage in (retrieved, ranked, taught, indexed)]
        metrics = {name: value for metrics in told for name, value in metrics.items()}
        facts = {"counters": counters, "metrics": metrics}
        return self._publish((prepared, counted, retrieved, ranked, device, embedded, taught, indexed), facts, begin)

    def _publish(self, stages: Sequence[Stage], facts: dict[str, Any], begin: float) -> Bundle:
        self.progress.stage("publishing the bundle")
        folders = StageFolders(*(stage.folder for stage in stages))
        parent = self.base.bundle.manifest.version if self.base else None
        bundle = publish(self.workspace, folders, self.settings.retrieval.history_length, facts["metrics"], parent)
        hand_over(self.workspace, folders.teacher, bundle.manifest.version)
        fill_sessions(self.workspace, folders.examples)
        facts |= {"seed": self.seed, "settings": self.settings.model_dump(mode="json")}
        facts["seconds"] = round(time.perf_counter() - begin, 3)
        if self.base is not None:
            facts["delta"] = self.base.describe_delta(bundle)
            self.progress.note(say_delta(facts["delta"]))
        write_report(self.workspace, bundle, stages, facts)
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

            prepare(self.workspace.events, self.workspace.items, folder, self.settings.prepare, self._flags())

        return run_stage(self.workspace.examples, "prepare", PREPARE_VERSION, inputs, build)

    def _count(self, prepared: Stage) -> Stage:
        self.progress.stage("counting what follows what")
        inputs = {
            "examples": _examples(prepared),
            "settings": self.settings.statistics.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.statistics.job import count_statistics

            count_statistics(prepared.folder, folder, self.settings.statistics, self._flags())

        return run_stage(self.workspace.models, "statistics", STATISTICS_VERSION, inputs, build)

    def _retrieve(self, prepared: Stage) -> Stage:
        self.progress.stage("training")
        inputs = {
            "examples": _examples(prepared),
            "settings": self.settings.retrieval.model_dump(mode="json"),
            "seed": self.seed,
        }
        base = self.base.retrieval if self.base else None
        if base:
            inputs["base"] = base.checksums(_RETRIEVAL_WEIGHTS)

        def build(folder: Path) -> None:
            from pipelines.training.stage import train_retrieval

            trail, start = self._trail(folder), base and base.folder
            train_retrieval(prepared.folder, folder, self.settings.retrieval, self.seed, self.progress, trail, start)

        return run_stage(self.workspace.models, "retrieval", RETRIEVAL_VERSION, inputs, build)

    def _rank(self, prepared: Stage, counted: Stage, retrieved: Stage) -> Stage:
        self.progress.stage("training the ranker")
        inputs = {
            "examples": _examples(prepared),
            "responses": prepared.checksums(names.RESPONSES_FILE),
            "statistics": counted.checksums(names.ITEM_TO_ITEM_FILE),
            "retrieval": retrieved.checksums(_RETRIEVAL_WEIGHTS),
            "settings": self.settings.ranker.model_dump(mode="json"),
            "seed": self.seed,
        }
        base = self.base.ranker if self.base else None
        if base:
            inputs["base"] = base.checksums(_RANKER_WEIGHTS)

        def build(folder: Path) -> None:
            from pipelines.training.stage import RankerSources, train_ranker

            trail, start = self._trail(folder), base and base.folder
            sources = RankerSources(prepared.folder, counted.folder, retrieved.folder)
            train_ranker(sources, folder, self.settings, self.seed, self.progress, trail, start)

        return run_stage(self.workspace.models, "ranker", RANKER_VERSION, inputs, build)

    def _shape_device(self) -> Stage:
        dim = self.settings.retrieval.dim
        inputs = {"dim": dim, "settings": self.device.model_dump(mode="json"), "seed": self.seed}
        base = self.base.bundle if self.base else None
        if base:
            inputs = {"base": {name: base.manifest.files[name].sha256 for name in DEVICE_FILES}}

        def build(folder: Path) -> None:
            if base:
                for name in DEVICE_FILES:
                    (folder / name).write_bytes(base.read_bytes(name))
                return
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

            embed(prepared.folder / VOCABULARY, tower, folder, self._flags())

        return run_stage(self.workspace.models, "embed", EMBED_VERSION, inputs, build)

    def _index(self, prepared: Stage, retrieved: Stage, embedded: Stage) -> Stage:
        self.progress.stage("building the index")
        tower = retrieved.folder / names.QUERY_TOWER_FILE
        vectors = embedded.folder / names.EMBEDDINGS_FILE
        inputs = {
            "examples": _examples(prepared),
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

    def _flags(self) -> tuple[str, ...]:
        return (*flags_of(self.settings.runner), *self.beam_flags)

    def _tell(self, stage: Stage, figures: str = "") -> None:
        for line in say_stage(stage, figures):
            self.progress.note(line)


def _examples(prepared: Stage) -> dict[str, str]:
    return prepared.checksums(f"{EVENTS}/*.parquet", VOCABULARY)


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise WorkspaceError(f"Expected the file {path}, got none. Run `tandem ingest` first.")
    return describe_file(path).sha256


def _read_metrics(stage: Stage) -> dict[str, float]:
    return json.loads((stage.folder / _METRICS).read_text(encoding="utf-8"))
