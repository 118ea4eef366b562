"""What was published, as the manifests say it, and what became of it in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from recsys.contracts.bundle import Manifest
from recsys.errors import BundleError, WorkspaceError
from recsys.storage.registry import MANIFEST_FILE, BundleRegistry
from recsys.storage.workspace import Workspace
from serving.deployment import Swap


@dataclass(frozen=True)
class BundleSummary:
    """One published version.

    Attributes:
      version: Its name.
      manifest: What its manifest says, unverified: the list is to look at, what is served was verified. None where it
        cannot be read.
      size_bytes: All files together.
      reason: Why there is no manifest; empty where there is one.
    """

    version: str
    manifest: Mapping[str, object] | None
    size_bytes: int
    reason: str


@dataclass(frozen=True)
class BundlesAnswer:
    """The bundles of the workspace.

    Attributes:
      served: The version that this process answers with; None where it has none.
      pointer: The version that `current` names; None where there is none.
      bundles: Newest first.
      swaps: What this process loaded or refused since it started, latest first.
    """

    served: str | None
    pointer: str | None
    bundles: list[BundleSummary]
    swaps: list[Swap]


def summarise_bundles(workspace: Workspace, served: str | None, swaps: list[Swap], count: int) -> BundlesAnswer:
    """Returns the latest `count` bundles of a workspace, with what became of them here."""
    registry = BundleRegistry(workspace)
    try:
        pointer = registry.current_version()
    except (BundleError, WorkspaceError):
        pointer = None
    versions = registry.versions()[::-1][:count]
    return BundlesAnswer(served, pointer, [_summarise(workspace, version) for version in versions], swaps[::-1])


def _summarise(workspace: Workspace, version: str) -> BundleSummary:
    try:
        manifest = Manifest.from_json((workspace.bundles / version / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, BundleError) as error:
        reason = str(error) if isinstance(error, BundleError) else "The manifest cannot be read. Publish it again."
        return BundleSummary(version, None, 0, reason)
    size_bytes = sum(entry.size_bytes for entry in manifest.files.values())
    return BundleSummary(version, asdict(manifest), size_bytes, "")
