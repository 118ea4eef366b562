"""Published bundles: immutable folders, each with a signed manifest, and the pointer to the one in use.

bundles/<version>/<file>...      what was published
bundles/<version>/manifest.json  sizes and checksums of all files, and what the bundle is
bundles/<version>/manifest.sig   Ed25519 signature of the manifest's bytes
current                          the version in use
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from recsys.contracts.bundle import FileEntry, Manifest
from recsys.errors import BundleError, WorkspaceError
from recsys.storage.atomic import explain_disk_errors, partial_folder, publish_folder, remove_partials, write_file
from recsys.storage.checksum import describe_bytes, describe_file
from recsys.storage.lock import hold_lock
from recsys.storage.signature import Signer, Verifier
from recsys.storage.staging import copy_files
from recsys.storage.workspace import Workspace

MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"(\d{4,9})-([0-9a-f]{12})")


@dataclass(frozen=True)
class Bundle:
    """One published version, verified when it was opened."""

    root: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """Returns where a file lies.

        Raises:
          BundleError: If the bundle has no such file.
        """
        if name not in self.manifest.files:
            raise BundleError(
                f"Expected the file {name!r} in bundle {self.manifest.version}, got {sorted(self.manifest.files)}."
            )
        return self.root / name

    def read_bytes(self, name: str) -> bytes:
        """Returns a file, checked once more against the manifest as it is read.

        Raises:
          BundleError: If the bundle has no such file, or it was altered since the bundle was opened.
        """
        path = self.path(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BundleError(_unreadable(path, error)) from error
        _compare(path, describe_bytes(content), self.manifest.files[name])
        return content


@dataclass(frozen=True)
class BundleRegistry:
    """The bundles of a workspace. Any number of processes may publish and read at once.

    Attributes:
      workspace: Where `bundles/`, `current` and `keys/` lie.
    """

    workspace: Workspace

    def publish(
        self,
        files: Mapping[str, Path | bytes],
        *,
        dataset: str,
        split_fingerprint: str,
        embedding_version: str,
        dim: int,
        history_length: int,
        num_items: int,
        num_recent: int = 0,
        parent: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> Bundle:
        """Publishes files as a new version and makes it the current one.

        The version is named by its content: publishing the same again makes no new bundle, it only points `current`
        at the one that is there (whose `parent`, `metrics` and time stay).

        Args:
          files: Name in the bundle to its content, or to a file to copy.
          dataset: What it was trained on.
          split_fingerprint: How that was divided.
          embedding_version: Version of the vectors in it.
          dim: Length of a vector.
          history_length: Items that the query tower reads.
          num_items: Items in the vocabulary.
          num_recent: Candidates of a list that were chosen most of late.
          parent: The version that this one was made from.
          metrics: Finite figures worth keeping.

        Raises:
          BundleError: If a file name is not a plain one, or a metric is not finite.
          WorkspaceError: If a source is missing, or the disk is full; nothing appears then.
        """
        _check_names(files)
        if not all(math.isfinite(value) for value in (metrics or {}).values()):
            raise BundleError(f"Expected finite `metrics` in a manifest, got {dict(metrics or {})}.")
        target = self.workspace.bundles / "new"
        with hold_lock(self.workspace.bundles / ".lock"):
            remove_partials(target)
            remove_partials(self.workspace.current)
            signer = Signer(self.workspace.keys)
            with partial_folder(target) as partial:
                manifest = Manifest(
                    version="",
                    created_ms=time.time_ns() // 1_000_000,
                    dataset=dataset,
                    split_fingerprint=split_fingerprint,
                    embedding_version=embedding_version,
                    dim=dim,
                    history_length=history_length,
                    num_items=num_items,
                    num_recent=num_recent,
                    files=copy_files(files, partial),
                    parent=parent,
                    metrics=dict(metrics or {}),
                )
                bundle = self._find(content_hash(manifest)) or self._seal(partial, manifest, signer)
            write_file(self.workspace.current, f"{bundle.manifest.version}\n".encode())
            return bundle

    def open(self, version: str) -> Bundle:
        """Opens a version after verifying its signature and every checksum.

        Raises:
          BundleError: If there is no such version, or it is incomplete, altered or signed by an unknown key.
        """
        if not _VERSION.fullmatch(version):
            raise BundleError(f"Expected a bundle version such as 0001-0123456789ab, got {version!r:.60}.")
        root = self.workspace.bundles / version
        if not root.is_dir():
            raise BundleError(f"Expected bundle {version} in {root.parent}, got {self.versions() or 'no bundle'}.")
        bundle = Bundle(root, self._read_manifest(root))
        _check_presence(root, bundle.manifest)
        for name, entry in sorted(bundle.manifest.files.items()):
            path = root / name
            try:
                _compare(path, describe_file(path), entry)
            except OSError as error:
                raise BundleError(_unreadable(path, error)) from error
        return bundle

    def current(self) -> Bundle:
        """Opens the version in use, as `open` does.

        Raises:
          WorkspaceError: If nothing was published yet.
          BundleError: As `open`.
        """
        return self.open(self.current_version())

    def current_version(self) -> str:
        """Returns the version in use, without opening it.

        Raises:
          WorkspaceError: If nothing was published yet.
          BundleError: If the pointer holds something else.
        """
        try:
            text = self.workspace.current.read_bytes()
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"Expected a published bundle in the workspace {self.workspace.root}, got none. "
                f"Run `tandem train --workspace {self.workspace.root}`."
            ) from error
        version = text.decode("ascii", errors="replace").strip()
        if not _VERSION.fullmatch(version):
            raise BundleError(
                f"Expected a bundle version in {self.workspace.current}, got {version!r:.60}. "
                f"Write one of {self.versions()} into it."
            )
        return version

    def versions(self) -> list[str]:
        """Returns all published versions, oldest first."""
        if not self.workspace.bundles.is_dir():
            return []
        names = (entry.name for entry in self.workspace.bundles.iterdir() if entry.is_dir())
        return sorted((name for name in names if _VERSION.fullmatch(name)), key=_sequence)

    def _find(self, content: str) -> Bundle | None:
        """Returns the newest sound bundle with this content; a damaged one is passed over, so publishing mends it."""
        for version in reversed(self.versions()):
            if version.endswith(f"-{content}"):
                try:
                    return self.open(version)
                except BundleError:
                    continue
        return None

    def _seal(self, partial: Path, manifest: Manifest, signer: Signer) -> Bundle:
        sequence = max(map(_sequence, self.versions()), default=0) + 1
        manifest = replace(manifest, version=f"{sequence:04d}-{content_hash(manifest)}")
        text = manifest.to_json().encode()
        with explain_disk_errors(partial, len(text)):
            (partial / MANIFEST_FILE).write_bytes(text)
            (partial / SIGNATURE_FILE).write_bytes(signer.sign(text))
        root = self.workspace.bundles / manifest.version
        publish_folder(partial, root)
        return Bundle(root, manifest)

    def _read_manifest(self, root: Path) -> Manifest:
        try:
            text = (root / MANIFEST_FILE).read_bytes()
            signature = (root / SIGNATURE_FILE).read_bytes()
        except OSError as error:
            raise BundleError(_unreadable(Path(error.filename), error)) from error
        verifier = Verifier(self.workspace.keys)
        if not verifier.verify(text, signature):
            raise BundleError(
                f"Expected {root / MANIFEST_FILE} to be signed in {SIGNATURE_FILE} by the key {verifier.path}, got a "
                "signature that does not fit: one of the files was altered, or an unknown key signed it. "
                "Publish the bundle again, or copy the publisher's public key."
            )
        manifest = Manifest.from_json(text.decode(errors="replace"))
        if manifest.version != root.name:
            raise BundleError(f"Expected version {root.name} in {root / MANIFEST_FILE}, got {manifest.version}.")
        return manifest


def content_hash(manifest: Manifest) -> str:
    """Returns 12 hex digits that name what a bundle is: everything but its version, parent, time and metrics."""
    facts = asdict(manifest)
    for name in ("version", "parent", "created_ms", "metrics"):
        del facts[name]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _check_names(names: Mapping[str, Path | bytes]) -> None:
    if not names:
        raise BundleError("Expected at least one file to publish, got none.")
    for name in names:
        if not _FILE_NAME.fullmatch(name) or name in (MANIFEST_FILE, SIGNATURE_FILE):
            raise BundleError(
                f"Expected a plain file name (letters, digits, `.`, `_`, `-`; not {MANIFEST_FILE} or "
                f"{SIGNATURE_FILE}) to publish, got {name!r:.60}."
            )


def _check_presence(root: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        if not _FILE_NAME.fullmatch(name):
            raise BundleError(f"Expected plain file names in {root / MANIFEST_FILE}, got {name!r:.60}.")
    present = {entry.name for entry in root.iterdir()}
    expected = {*manifest.files, MANIFEST_FILE, SIGNATURE_FILE}
    for name in sorted(expected - present):
        raise BundleError(f"Expected the file {root / name} of the manifest, got none. Publish the bundle again.")
    for name in sorted(present - expected):
        raise BundleError(f"Expected only files of the manifest in {root}, got also {name!r}. Remove it.")
    for name in sorted(expected):
        if (root / name).is_symlink() or not (root / name).is_file():
            raise BundleError(f"Expected {root / name} to be a plain file, got a link or folder.")


def _compare(path: Path, found: FileEntry, expected: FileEntry) -> None:
    if found != expected:
        raise BundleError(
            f"Expected {path} with {expected.size_bytes} bytes and sha256 {expected.sha256[:12]}…, "
            f"got {found.size_bytes} bytes and {found.sha256[:12]}…. The file was altered: publish the bundle again."
        )


def _unreadable(path: Path, error: OSError) -> str:
    return f"Expected to read {path} of a bundle, got: {error.strerror}. Publish the bundle again."


def _sequence(version: str) -> int:
    return int(version.partition("-")[0])
