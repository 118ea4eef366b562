"""The stages of the cloud's training: what each reads, what it depends on, and what makes it.

Beam and TensorFlow are imported where a stage that needs them is made: a rerun with nothing to do imports neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.ancestor import DEVICE_FILES, Ancestor
from pipelines.flags import flags_of
from pipelines.logs import quiet_logs
from pipelines.prepare.layout import EVENTS, VOCABULARY
from pipelines.stages import Stage, checkpoints_of, key_of, run_stage
from pipelines.teaching import Schooled, teach
from pipelines.training.trail import Trail
from recsys.config.cloud import CloudSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts import bundle as names
from recsys.errors import WorkspaceError
from recsys.progress import Progress
from recsys.storage.checksum import describe_file
from recsys.storage.workspace import Workspace

PREPARE_VERSION = 2
STATISTICS_VERSION = 2
RETRIEVAL_VERSION = 3
RANKER_VERSION = 7
DEVICE_VERSION = 3
EMBED_VERSION = 3
INDEX_VERSION = 3
RECOUNT_VERSION = 1

_RETRIEVAL_WEIGHTS = "retrieval.npz"
_RANKER_WEIGHTS = "ranker.npz"


@dataclass(frozen=True)
class CloudStages:
    """The stages of one run; each depends on the checksums of what it reads, and on its own settings.

    A method returns its stage, made now or by an earlier run.

    Attributes:
      workspace: Holds an ingested dataset.
      settings: Of all stages.
      seed: Of training.
      progress: A listener.
      device: Shape of the device tower.
      beam_flags: Beam's own flags, behind those of `settings.runner`.
      base: What a fine-tuning starts from.
    """

    workspace: Workspace
    settings: CloudSettings
    seed: int
    progress: Progress
    device: DeviceSettings
    beam_flags: tuple[str, ...]
    base: Ancestor | None = None

    def prepare(self) -> Stage:
        """Validates, deduplicates and divides the log."""
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

    def count(self, prepared: Stage) -> Stage:
        """Counts item-to-item statistics of the training period."""
        self.progress.stage("counting what follows what")
        inputs = {
            "examples": examples_of(prepared),
            "settings": self.settings.statistics.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.statistics.job import count_statistics

            count_statistics(prepared.folder, folder, self.settings.statistics, self._flags())

        return run_stage(self.workspace.models, "statistics", STATISTICS_VERSION, inputs, build)

    def recount(self, prepared: Stage) -> Stage:
        """Counts anew, over the whole log, what is read where the models serve."""
        self.progress.stage("counting anew with the latest events")
        inputs = {
            "examples": examples_of(prepared),
            "settings": self.settings.statistics.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.statistics.recount import recount

            recount(prepared.folder, folder, self.settings.statistics, self._flags())

        return run_stage(self.workspace.models, "recount", RECOUNT_VERSION, inputs, build)

    def retrieve(self, prepared: Stage) -> Stage:
        """Trains retrieval."""
        self.progress.stage("training")
        inputs = {
            "examples": examples_of(prepared),
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

    def rank(self, prepared: Stage, counted: Stage, retrieved: Stage) -> Stage:
        """Trains the ranker."""
        self.progress.stage("training the ranker")
        inputs = {
            "examples": examples_of(prepared),
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

    def shape_device(self) -> Stage:
        """Makes the device tower that the bundle starts with, or keeps that of the base."""
        dim = self.settings.retrieval.dim
        inputs = {"dim": dim, "settings": self.device.model_dump(mode="json"), "seed": self.seed}
        base = self.base.bundle if self.base else None
        if base:
            known = [name for name in DEVICE_FILES if name in base.manifest.files]
            inputs = {"base": {name: base.manifest.files[name].sha256 for name in known}}

        def build(folder: Path) -> None:
            if base and len(known) == len(DEVICE_FILES):
                for name in DEVICE_FILES:
                    (folder / name).write_bytes(base.read_bytes(name))
                return
            from pipelines.training.stage import make_device_tower

            # A base from before there was a tower to train, or one in bytes: its weights are exported anew.
            weights = base.read_bytes(names.DEVICE_WEIGHTS_FILE) if base else None
            make_device_tower(folder, dim, self.device, self.seed, weights)

        return run_stage(self.workspace.models, "device", DEVICE_VERSION, inputs, build)

    def _trail(self, folder: Path) -> Trail:
        return Trail(checkpoints_of(folder), self.workspace.curves / key_of(folder))

    def embed(self, prepared: Stage, retrieved: Stage) -> Stage:
        """Embeds the catalogue."""
        self.progress.stage("embedding the catalogue")
        tower = retrieved.folder / names.ITEM_TOWER_FILE
        inputs = {"vocabulary": prepared.checksums(VOCABULARY), "tower": retrieved.checksums(tower.name)}

        def build(folder: Path) -> None:
            with quiet_logs():
                from pipelines.embed.job import embed

            embed(prepared.folder / VOCABULARY, tower, folder, self._flags())

        return run_stage(self.workspace.models, "embed", EMBED_VERSION, inputs, build)

    def index(self, prepared: Stage, retrieved: Stage, embedded: Stage) -> Stage:
        """Builds the candidate index and measures what it finds."""
        self.progress.stage("building the index")
        tower = retrieved.folder / names.QUERY_TOWER_FILE
        vectors = embedded.folder / names.EMBEDDINGS_FILE
        inputs = {
            "examples": examples_of(prepared),
            "embeddings": embedded.checksums(vectors.name),
            "tower": retrieved.checksums(tower.name),
            "settings": self.settings.index.model_dump(mode="json"),
        }

        def build(folder: Path) -> None:
            from pipelines.index.job import build_index

            build_index(prepared.folder, vectors, tower, self.settings.index, folder)

        return run_stage(self.workspace.models, "index", INDEX_VERSION, inputs, build)

    def teach(self, stages: Schooled) -> Stage:
        """Writes what the ranker, as it is served, thinks of candidates of the consented log."""
        self.progress.stage("writing what the ranker teaches")
        return teach(self.workspace, stages, self.settings, self.seed)

    def _flags(self) -> tuple[str, ...]:
        return (*flags_of(self.settings.runner), *self.beam_flags)


def examples_of(prepared: Stage) -> dict[str, str]:
    """Returns the checksums of the examples and their vocabulary: what most stages depend on."""
    return prepared.checksums(f"{EVENTS}/*.parquet", VOCABULARY)


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise WorkspaceError(f"Expected the file {path}, got none. Run `tandem ingest` first.")
    return describe_file(path).sha256
