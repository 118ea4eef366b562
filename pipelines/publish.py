"""Collects what the stages made into one signed bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from recsys.contracts import bundle as names
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.snapshot import read_snapshot
from recsys.storage.workspace import Workspace

TOWER_FILES = (
    names.QUERY_TOWER_FILE,
    names.QUERY_TOWER_INT8_FILE,
    names.ITEM_TOWER_FILE,
    names.RANKER_FILE,
    names.DEVICE_TOWER_FILE,
    names.DEVICE_WEIGHTS_FILE,
)


def publish(
    workspace: Workspace,
    examples_dir: Path,
    statistics_dir: Path,
    models_dir: Path,
    embeddings_dir: Path,
    index_dir: Path,
    history_length: int,
    metrics: Mapping[str, float],
) -> Bundle:
    """Publishes the results of the stages and makes them the current bundle; the same results again change nothing.

    Args:
      workspace: Whose dataset they were made from.
      examples_dir: Of the prepare stage.
      statistics_dir: Of the statistics stage.
      models_dir: Of the train stage.
      embeddings_dir: Of the embed stage.
      index_dir: Of the index stage.
      history_length: Items that the query tower reads.
      metrics: Figures worth keeping; those that are not finite were not measured and are left out.

    Raises:
      WorkspaceError: If there is no dataset, a file is missing, or the disk is full.
      BundleError: If the vectors are none.
    """
    card = workspace.read_card()
    snapshot = read_snapshot(embeddings_dir / names.EMBEDDINGS_FILE)
    files: dict[str, Path | bytes] = {name: models_dir / name for name in TOWER_FILES}
    files[names.ITEMS_FILE] = workspace.items
    files[names.ROOMS_FILE] = workspace.rooms
    files[names.VOCABULARY_FILE] = examples_dir / names.VOCABULARY_FILE
    files[names.ITEM_TO_ITEM_FILE] = statistics_dir / names.ITEM_TO_ITEM_FILE
    files[names.EMBEDDINGS_FILE] = embeddings_dir / names.EMBEDDINGS_FILE
    files[names.INDEX_FILE] = index_dir / names.INDEX_FILE
    return BundleRegistry(workspace).publish(
        files,
        dataset=card.name,
        split_fingerprint=card.split_fingerprint,
        embedding_version=snapshot.version,
        dim=snapshot.dim,
        history_length=history_length,
        num_items=len(snapshot.item_ids),
        metrics={name: float(value) for name, value in metrics.items() if math.isfinite(value)},
    )
