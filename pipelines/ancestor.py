"""The bundle that a fine-tuning starts from: its trained weights, and what it was trained on.

The stages are found by content: those whose files the bundle holds. So nothing need be written down, and a bundle of
federated rounds, which carries its parent's cloud models, is as good a start as any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from pipelines.stages import Stage, find_stages
from recsys.contracts import bundle as names
from recsys.errors import WorkspaceError
from recsys.exchange.delta import diff
from recsys.exchange.message import encode_delta
from recsys.features.catalogue import Catalogue
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.snapshot import read_snapshot
from recsys.storage.workspace import Workspace

DEVICE_FILES: Final = (
    names.DEVICE_TOWER_FILE,
    names.DEVICE_TOWER_INT8_FILE,
    names.DEVICE_TRAINING_FILE,
    names.DEVICE_WEIGHTS_FILE,
)


@dataclass(frozen=True)
class Ancestor:
    """A bundle, and the stages that its models came from.

    Attributes:
      bundle: Verified.
      retrieval: Its stage.
      ranker: Its stage.
      examples: Checksums of the examples of each stage whose retrieval model this is.
    """

    bundle: Bundle
    retrieval: Stage
    ranker: Stage
    examples: tuple[Mapping[str, str], ...]

    @classmethod
    def current(cls, workspace: Workspace) -> Ancestor:
        """Returns the current bundle of a workspace.

        Raises:
          WorkspaceError: If nothing was published, or the stages of the bundle are gone.
          BundleError: If the bundle is altered.
        """
        bundle = BundleRegistry(workspace).current()
        retrieval = _find(workspace, bundle, "retrieval", names.QUERY_TOWER_FILE, names.ITEM_TOWER_FILE)
        ranker = _find(workspace, bundle, "ranker", names.RANKER_FILE)
        examples = tuple(inputs["examples"] for _, inputs in retrieval)
        return cls(bundle, retrieval[-1][0], ranker[-1][0], examples)

    def check_vocabulary(self, vocabulary: Path) -> None:
        """Sees to it that a vocabulary continues the bundle's: each known item has the index that it had.

        Raises:
          WorkspaceError: If it does not.
        """
        known = Catalogue.from_vocabulary(pq.read_table(self.bundle.path(names.VOCABULARY_FILE))).item_ids
        now = Catalogue.from_vocabulary(pq.read_table(vocabulary)).item_ids
        if now[: len(known)] != known:
            raise WorkspaceError(
                f"Expected a catalogue that continues the {len(known)} items of bundle {self.bundle.manifest.version}, "
                f"got {len(now)} in another order or without some of them. Add items by `tandem ingest --append`, or "
                "run `tandem train` without --fine-tune."
            )

    def describe_delta(self, bundle: Bundle) -> dict[str, Any]:
        """Returns what leads devices from this bundle's vectors to another's, JSON-ready; a server makes it on demand.

        Returns:
          `base_version`, `version`, `num_changed`, `num_added`, `num_removed` and `size_bytes` as float16.

        Raises:
          ContractError: If the vectors differ in length: then devices take the snapshot.
        """
        base, target = (read_snapshot(one.read_bytes(names.EMBEDDINGS_FILE)) for one in (self.bundle, bundle))
        delta = diff(base, target)
        num_added = len(set(delta.item_ids) - set(base.item_ids))
        return {
            "base_version": delta.base_version,
            "version": delta.version,
            "num_changed": len(delta.item_ids) - num_added,
            "num_added": num_added,
            "num_removed": len(delta.removed_ids),
            "size_bytes": len(encode_delta(delta, "float16")),
        }


def say_delta(delta: Mapping[str, Any]) -> str:
    """Returns a line on what `Ancestor.describe_delta` returned."""
    return (
        f"delta for devices from {delta['base_version']}: {delta['num_added']} vectors added, "
        f"{delta['num_changed']} changed, {delta['size_bytes']:,} bytes"
    )


def _find(workspace: Workspace, bundle: Bundle, name: str, *files: str) -> list[tuple[Stage, Mapping[str, Any]]]:
    checksums = {file: bundle.manifest.files[file].sha256 for file in files if file in bundle.manifest.files}
    found = find_stages(workspace.models, name, checksums) if len(checksums) == len(files) else []
    if not found:
        raise WorkspaceError(
            f"Expected the {name} stage of bundle {bundle.manifest.version} in {workspace.models} to go on from, got "
            "none: it was removed, or the bundle was made elsewhere. Run `tandem train` without --fine-tune."
        )
    return found
