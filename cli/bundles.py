"""`tandem bundles`: what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from recsys.contracts.bundle import Manifest


def bundles(workspace: WorkspacePath = DEFAULT_WORKSPACE, seed: Seed = 0, as_json: AsJson = False) -> None:
    """List and check the published bundles.

    Every bundle's signature and checksums are verified.
    """
    del seed  # every verb takes it; nothing is drawn here
    with open_session(as_json) as session:
        from rich.table import Table

        from recsys.storage.registry import BundleRegistry
        from recsys.storage.workspace import Workspace

        registry = BundleRegistry(Workspace(workspace))
        current = registry.current().manifest.version
        found = [describe_bundle(registry.open(version).manifest) for version in registry.versions()]
        table = Table("", "version", "dataset", "items", "parent", "embeddings")
        for one in found:
            mark = "→" if one["version"] == current else ""
            table.add_row(
                mark, one["version"], one["dataset"], str(one["num_items"]), one["parent"], one["embedding_version"]
            )
        session.finish({"current": current, "bundles": found, "seconds": session.seconds}, table)


def describe_bundle(manifest: Manifest) -> dict[str, Any]:
    """Returns what a person or a script wants to know of a bundle, JSON-ready."""
    return {
        "version": manifest.version,
        "dataset": manifest.dataset,
        "split_fingerprint": manifest.split_fingerprint,
        "embedding_version": manifest.embedding_version,
        "parent": manifest.parent,
        "num_items": manifest.num_items,
        "size_bytes": sum(entry.size_bytes for entry in manifest.files.values()),
        "metrics": dict(manifest.metrics),
    }
