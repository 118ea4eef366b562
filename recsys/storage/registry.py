"""Published bundles: immutable folders, a signed manifest in each, and an atomic pointer to the one in use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsys.contracts.bundle import FileEntry, Manifest
from recsys.errors import BundleError, WorkspaceError
from recsys.storage.atomic import sync_folder, write_file
from recsys.storage.signature import sign, verify
from recsys.storage.workspace import Workspace

MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"
_VERSION: Final = re.compile(r"^\d{4,}-[0-9a-f]{12}$")
_FILE_NAME: Final = re.compile(r"^[a-z0-9_]+(\.[a-z0-9]+)+$")


@dataclass(frozen=True)
class Bundle:
    """One published version whose files were checked against its signed manifest."""

    root: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """Returns where a file of the bundle lies.

        Raises:
          BundleError: If the manifest does not name it.
        """
        if name not in self.manifest.files:
            raise BundleError(
                f"Expected a file out of {sorted(self.manifest.files)} in bundle {self.manifest.version}, got {name!r}."
            )
        return self.root / name

    def read_bytes(self, name: str) -> bytes:
        """Returns a file's content.

        Raises:
          BundleError: If the manifest does not name it, or it was altered since the bundle was opened.
        """
        content = self.path(name).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name].sha256:
            raise _altered(self.root / name)
        return content


@dataclass(frozen=True)
class BundleRegistry:
    """The bundles of one workspace."""

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
        parent: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> Bundle:
        """Publishes a bundle and makes it the current one.

        The version is a running number and a hash over the dataset, the file names and their content, so that
        publishing the same content again is no new version.

        Args:
          files: Name to content, or to a file that is copied.
          dataset: Name of the data it was learned from.
          split_fingerprint: Of the split it was learned on.
          embedding_version: Version of the snapshot in it.
          dim: Length of the item vectors.
          history_length: Items that the query tower reads.
          num_items: Items in the vocabulary.
          parent: The version it continues, if any.
          metrics: Figures measured when it was built.

        Raises:
          BundleError: If a file name is not a plain lower-case name.
          WorkspaceError: If it cannot be written; then nothing is published.
        """
        entries = {name: _entry(name, content) for name, content in sorted(files.items())}
        digest = _content_hash(dataset, split_fingerprint, entries)
        with self._lock():
            existing = [version for version in self.versions() if version.endswith(digest)]
            if existing:
                self._point_at(existing[-1])
                return self.open(existing[-1])
            manifest = Manifest(
                version=f"{self._next_sequence():04d}-{digest}",
                created_ms=int(time.time() * 1_000),
                dataset=dataset,
                split_fingerprint=split_fingerprint,
                embedding_version=embedding_version,
                dim=dim,
                history_length=history_length,
                num_items=num_items,
                files=entries,
                parent=parent,
                metrics=dict(metrics or {}),
            )
            self._write(manifest, files)
            self._point_at(manifest.version)
        return self.open(manifest.version)

    def versions(self) -> list[str]:
        """Returns the published versions, oldest first."""
        if not self.workspace.bundles.is_dir():
            return []
        found = [path.name for path in self.workspace.bundles.iterdir() if _VERSION.match(path.name)]
        return sorted(found, key=lambda version: int(version.split("-")[0]))

    def open(self, version: str) -> Bundle:
        """Returns a bundle after checking its signature and every byte.

        Raises:
          BundleError: If there is no such version, or it is unsigned, altered, incomplete or has extra files.
        """
        root = self.workspace.bundles / version
        if not _VERSION.match(version) or not root.is_dir():
            raise BundleError(f"Expected a bundle out of {self.versions() or 'none'}, got {version!r:.60}.")
        manifest = self._read_manifest(root)
        present = {path.name for path in root.iterdir()} - {MANIFEST_FILE, SIGNATURE_FILE}
        if present != set(manifest.files):
            raise BundleError(
                f"Expected the files {sorted(manifest.files)} in {root}, got {sorted(present)}. Publish it again."
            )
        for name, entry in manifest.files.items():
            if _entry(name, root / name) != entry:
                raise _altered(root / name)
        return Bundle(root, manifest)

    def current_version(self) -> str:
        """Returns the version in use, without opening it.

        Raises:
          WorkspaceError: If nothing was published.
        """
        try:
            return self._pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"Expected a published bundle in {self.workspace.root}, got none. "
                f"Run `tandem train --workspace {self.workspace.root}`."
            ) from error

    def current(self) -> Bundle:
        """Opens the version in use.

        Raises:
          WorkspaceError: If nothing was published.
          BundleError: If it does not pass `open`.
        """
        return self.open(self.current_version())

    @property
    def _pointer(self) -> Path:
        return self.workspace.root / "current"

    def _point_at(self, version: str) -> None:
        write_file(self._pointer, f"{version}\n".encode())

    def _next_sequence(self) -> int:
        return max((int(version.split("-")[0]) for version in self.versions()), default=0) + 1

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One publisher at a time; what a killed one left behind is swept away."""
        self.workspace.bundles.mkdir(parents=True, exist_ok=True)
        with (self.workspace.bundles / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for leftover in self.workspace.bundles.glob(".*.partial"):
                shutil.rmtree(leftover)
            yield

    def _write(self, manifest: Manifest, files: Mapping[str, Path | bytes]) -> None:
        partial = self.workspace.bundles / f".{manifest.version}.partial"
        text = manifest.to_json().encode()
        try:
            partial.mkdir()
            for name, content in files.items():
                write_file(partial / name, content if isinstance(content, bytes) else content.read_bytes())
            write_file(partial / MANIFEST_FILE, text)
            write_file(partial / SIGNATURE_FILE, sign(text, self.workspace.keys))
            os.rename(partial, self.workspace.bundles / manifest.version)
            sync_folder(self.workspace.bundles)
        except (OSError, WorkspaceError, BundleError):
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _read_manifest(self, root: Path) -> Manifest:
        try:
            text = (root / MANIFEST_FILE).read_bytes()
            signature = (root / SIGNATURE_FILE).read_bytes()
        except OSError as error:
            raise BundleError(f"Expected a manifest and its signature in {root}, got: {error}.") from error
        if not verify(text, signature, self.workspace.keys):
            raise BundleError(
                f"Expected {root / MANIFEST_FILE} to bear the publisher's signature, got another one: "
                "it was altered or comes from another publisher. Publish it again."
            )
        return Manifest.from_json(text.decode())


def _entry(name: str, content: Path | bytes) -> FileEntry:
    if not _FILE_NAME.match(name) or name in (MANIFEST_FILE, SIGNATURE_FILE):
        raise BundleError(f"Expected a plain lower-case file name in a bundle, got {name!r}.")
    data = content if isinstance(content, bytes) else content.read_bytes()
    return FileEntry(hashlib.sha256(data).hexdigest(), len(data))


def _content_hash(dataset: str, split_fingerprint: str, entries: Mapping[str, FileEntry]) -> str:
    lines = [dataset, split_fingerprint, *(f"{name} {entry.sha256}" for name, entry in sorted(entries.items()))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _altered(path: Path) -> BundleError:
    return BundleError(f"Expected {path} as its manifest describes it, got other bytes. Publish the bundle again.")
