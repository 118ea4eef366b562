"""SHA-256 of files and bytes, with the size that belongs to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recsys.contracts.bundle import FileEntry

_CHUNK_BYTES = 1 << 20


def describe_bytes(content: bytes) -> FileEntry:
    """Returns checksum and size of `content`."""
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def describe_file(path: Path) -> FileEntry:
    """Returns checksum and size of a file, read in chunks so that its size does not matter.

    Raises:
      OSError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return FileEntry(sha256=digest.hexdigest(), size_bytes=size_bytes)
