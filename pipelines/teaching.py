"""What the ranker teaches: a stage of the job, and where devices find its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.stages import Stage, run_stage
from recsys.config.cloud import CloudSettings
from recsys.contracts import bundle as names
from recsys.contracts.teacher import TEACHER_FILE
from recsys.storage.atomic import remove_partials, write_file
from recsys.storage.workspace import Workspace

TEACHER_VERSION: Final = 2


@dataclass(frozen=True)
class Schooled:
    """The stages that a teacher comes from."""

    prepared: Stage
    recounted: Stage
    retrieved: Stage
    ranked: Stage
    embedded: Stage


def teach(workspace: Workspace, stages: Schooled, settings: CloudSettings, seed: int) -> Stage:
    """Returns the stage that holds the ranker's opinion of candidates of the consented log.

    Args:
      workspace: Whose log it is.
      stages: Complete.
      settings: Those that they were made with.
      seed: Likewise.

    Raises:
      TandemError: As `pipelines.training.teacher.write_teacher` raises it.
    """
    inputs = {
        # What the ranker was trained on and how: its requests are the teacher's.
        "ranker": stages.ranked.key,
        "weights": stages.ranked.checksums("ranker.npz"),
        "served": stages.recounted.checksums(names.VOCABULARY_FILE, names.ITEM_TO_ITEM_FILE),
        "embeddings": stages.embedded.checksums(names.EMBEDDINGS_FILE),
    }

    def build(folder: Path) -> None:
        from pipelines.training.stage import RankerSources
        from pipelines.training.teacher import write_teacher

        sources = RankerSources(stages.prepared.folder, stages.recounted.folder, stages.retrieved.folder)
        vectors = stages.embedded.folder / names.EMBEDDINGS_FILE
        write_teacher(sources, stages.ranked.folder, vectors, folder, settings, seed)

    return run_stage(workspace.models, "teacher", TEACHER_VERSION, inputs, build)


def hand_over(workspace: Workspace, taught: Path, version: str) -> None:
    """Lays what the ranker of a bundle teaches where devices of the simulation look for it.

    The caller holds the workspace's `TRAIN_LOCK`.

    Raises:
      WorkspaceError: If the disk is full or refuses.
    """
    path = workspace.teacher(version)
    remove_partials(path)
    write_file(path, (taught / TEACHER_FILE).read_bytes())
