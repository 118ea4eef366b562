"""Collects what the stages made into one signed bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.ancestor import DEVICE_FILES
from recsys.config.cloud import CloudSettings
from recsys.contracts import bundle as names
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.snapshot import read_snapshot
from recsys.storage.workspace import Workspace


@dataclass(frozen=True)
class StageFolders:
    """Where the stages left what a bundle is made of."""

    examples: Path
    serving: Path
    retrieval: Path
    ranker: Path
    device: Path
    embeddings: Path
    teacher: Path
    index: Path

    def files(self) -> dict[str, Path | bytes]:
        """Returns the files by their name in the bundle."""
        owners = {
            self.examples: (names.RESPONSES_FILE,),
            self.serving: (names.VOCABULARY_FILE, names.ITEM_TO_ITEM_FILE),
            self.retrieval: (names.QUERY_TOWER_FILE, names.QUERY_TOWER_INT8_FILE, names.ITEM_TOWER_FILE),
            self.ranker: (names.RANKER_FILE,),
            self.device: DEVICE_FILES,
            self.embeddings: (names.EMBEDDINGS_FILE,),
            self.index: (names.INDEX_FILE,),
        }
        return {name: folder / name for folder, files in owners.items() for name in files}


def publish(
    workspace: Workspace,
    folders: StageFolders,
    settings: CloudSettings,
    metrics: Mapping[str, float],
    parent: str | None = None,
) -> Bundle:
    """Publishes the results of the stages and makes them the current bundle; the same results again change nothing.

    Args:
      workspace: Whose dataset they were made from.
      folders: Of the stages.
      settings: They were made with.
      metrics: Figures worth keeping; those that are not finite were not measured and are left out.
      parent: The version whose models these are trained on from.

    Raises:
      WorkspaceError: If there is no dataset, a file is missing, or the disk is full.
      BundleError: If the vectors are none.
    """
    card = workspace.read_card()
    snapshot = read_snapshot(folders.embeddings / names.EMBEDDINGS_FILE)
    files = folders.files()
    files[names.ITEMS_FILE] = workspace.items
    files[names.ROOMS_FILE] = workspace.rooms
    return BundleRegistry(workspace).publish(
        files,
        dataset=card.name,
        split_fingerprint=card.split_fingerprint,
        embedding_version=snapshot.version,
        dim=snapshot.dim,
        history_length=settings.retrieval.history_length,
        num_items=len(snapshot.item_ids),
        num_recent=settings.ranker.num_recent,
        parent=parent,
        metrics={name: float(value) for name, value in metrics.items() if math.isfinite(value)},
    )
