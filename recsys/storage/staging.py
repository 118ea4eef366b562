"""Files on their way into a bundle: copied, and described as they lie there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from recsys.contracts.bundle import FileEntry
from recsys.errors import WorkspaceError
from recsys.storage.atomic import explain_disk_errors
from recsys.storage.checksum import describe_file


def copy_files(files: Mapping[str, Path | bytes], folder: Path) -> dict[str, FileEntry]:
    """Puts files into a folder and returns size and checksum of each.

    Args:
      files: Name in the folder to its content, or to a file to copy.
      folder: Exists already.

    Raises:
      WorkspaceError: If a source is missing, or the disk is full or refuses.
    """
    entries = {}
    for name, source in sorted(files.items()):
        if isinstance(source, Path) and not source.is_file():
            raise WorkspaceError(f"Expected the file {source} to publish as {name}, got none. Run its stage again.")
        size_bytes = source.stat().st_size if isinstance(source, Path) else len(source)
        with explain_disk_errors(folder / name, size_bytes):
            if isinstance(source, Path):
                shutil.copyfile(source, folder / name)
            else:
                (folder / name).write_bytes(source)
            entries[name] = describe_file(folder / name)
    return entries
