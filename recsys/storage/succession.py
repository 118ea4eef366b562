"""A bundle out of another one: the same, but for some files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recsys.storage.registry import Bundle, BundleRegistry


def publish_again(
    registry: BundleRegistry,
    base: Bundle,
    files: Mapping[str, Path | bytes],
    *,
    dataset: str | None = None,
    parent: str | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Bundle:
    """Publishes a bundle with some files in the place of its own, and makes that the current one.

    Args:
      registry: Where.
      base: The bundle.
      files: As of `BundleRegistry.publish`; may be empty.
      dataset: What it was trained on; the base's where it is None.
      parent: As of `BundleRegistry.publish`.
      metrics: As of `BundleRegistry.publish`.

    Raises:
      BundleError: As `BundleRegistry.publish` raises it.
      WorkspaceError: Likewise.
    """
    manifest = base.manifest
    kept: dict[str, Path | bytes] = {name: base.path(name) for name in manifest.files}
    return registry.publish(
        kept | dict(files),
        dataset=manifest.dataset if dataset is None else dataset,
        split_fingerprint=manifest.split_fingerprint,
        embedding_version=manifest.embedding_version,
        dim=manifest.dim,
        history_length=manifest.history_length,
        num_items=manifest.num_items,
        num_recent=manifest.num_recent,
        parent=parent,
        metrics=metrics,
    )
