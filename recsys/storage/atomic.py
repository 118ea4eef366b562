"""Writes that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from recsys.errors import WorkspaceError


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file through a temporary sibling, synced to disk before it takes the name.

    Args:
      path: Where; its folder is made if absent.
      content: The whole file.
      mode: Permissions, in force before a byte is written.

    Raises:
      WorkspaceError: If the disk is full or the folder cannot be written; nothing half-written is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_synced(partial, content, mode)
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WorkspaceError(
            f"Expected to write {len(content)} bytes to {path}, got: {error.strerror}. "
            "Free some space or choose another --workspace; what was there before is unharmed."
        ) from error


def sync_folder(folder: Path) -> None:
    """Makes renames within a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
