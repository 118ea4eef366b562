"""Files and folders that appear whole or not at all, and outlive a power cut once they have appeared.

Everything is written beside its target under a partial name, flushed to the disk, and renamed. What a killed process
leaves behind is a partial that no reader looks at; `remove_partials` clears it.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.errors import WorkspaceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Writes a file atomically and durably; an existing one is replaced.

    Args:
      path: The target; its folder is made if need be.
      content: All of it.
      mode: Permissions, less the umask.

    Raises:
      WorkspaceError: If the disk is full or refuses; the target is then as it was before.
    """
    with explain_disk_errors(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _partial_name(path)
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
                target.write(content)
                target.flush()
                os.fsync(target.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder beside `path` to fill; whatever is left of it at the end is removed.

    Args:
      path: Names the partial; the folder can be published under any name beside it (`publish_folder`).

    Raises:
      WorkspaceError: If it cannot be made.
    """
    partial = _partial_name(path)
    with explain_disk_errors(partial, 0):
        partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish_folder(partial: Path, path: Path) -> None:
    """Flushes a filled folder, at any depth, to the disk and renames it to `path`, which must not exist.

    Raises:
      WorkspaceError: If the disk is full or refuses, or `path` exists; nothing appears then.
    """
    with explain_disk_errors(path, 0):
        for entry in partial.rglob("*"):
            _sync(entry, os.O_RDONLY)
        sync_folder(partial)
        partial.rename(path)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flushes the names in a folder to the disk.

    Raises:
      OSError: If the disk refuses.
    """
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def remove_partials(path: Path) -> None:
    """Removes what killed writers of `path`, whose name may be a pattern, left. The caller holds the lock of `path`."""
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        if partial.is_dir() and not partial.is_symlink():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


@contextmanager
def explain_disk_errors(path: Path, size_bytes: int) -> Iterator[None]:
    """Turns an error of the file system into one that says what was to be written and what to do.

    Args:
      path: What is being written.
      size_bytes: How much of it there is.

    Raises:
      WorkspaceError: In place of an `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        cure = "Free that much space there" if error.errno in _FULL else "Make the folder writable"
        raise WorkspaceError(
            f"Expected to write {size_bytes} bytes to {path}, got: {error.strerror or error}. Nothing was changed. "
            f"{cure}, or choose another workspace, and run the command again."
        ) from error


def _partial_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
