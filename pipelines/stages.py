"""Stages of a job whose results are kept: a folder per stage, named by the content of everything that it depends on.

A stage that is there is complete: it is filled under a partial name, flushed to the disk and renamed. So a rerun does
only what changed, and what a killed run had begun is begun anew, but for what its build kept in `checkpoints_of`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recsys.contracts.bundle import FileEntry
from recsys.errors import WorkspaceError
from recsys.storage.atomic import explain_disk_errors, publish_folder
from recsys.storage.checksum import describe_file
from recsys.storage.workspace import PARTIAL_STAGE_SUFFIX

RECORD_FILE: Final = "stage.json"

_CHECKPOINTS_SUFFIX: Final = ".checkpoints"


@dataclass(frozen=True)
class Stage:
    """A complete stage.

    Attributes:
      folder: Where its files lie.
      name: What it does.
      key: Content hash of its name, code version and inputs; the folder's name.
      seconds: How long it took when it was made.
      reused: Whether it was made by an earlier run.
      files: Path below `folder` to checksum and size.
    """

    folder: Path
    name: str
    key: str
    seconds: float
    reused: bool
    files: Mapping[str, FileEntry]

    def checksums(self, *patterns: str) -> dict[str, str]:
        """Returns path to sha256 of the files that match any of the patterns: what a later stage depends on.

        Raises:
          WorkspaceError: If a pattern matches nothing; the stage did not write what the next one needs.
        """
        chosen = {}
        for pattern in patterns:
            found = {path: entry.sha256 for path, entry in self.files.items() if Path(path).match(pattern)}
            if not found:
                raise WorkspaceError(
                    f"Expected {pattern} in {self.folder}, got {sorted(self.files)}. Remove the folder and run again."
                )
            chosen |= found
        return chosen


def run_stage(
    parent: Path, name: str, version: int, inputs: Mapping[str, Any], build: Callable[[Path], object]
) -> Stage:
    """Returns a stage, made by `build` unless it is there. The caller sees to it that no other run makes it meanwhile.

    Args:
      parent: Folder of the stage's folder.
      name: What the stage does.
      version: Of its code and of the form of its output; raised when either changes.
      inputs: All that the output depends on, as JSON: checksums, settings, seed.
      build: Fills the empty folder that it is given; what it raises leaves nothing behind (but `checkpoints_of`).

    Raises:
      WorkspaceError: If the disk is full or refuses.
    """
    identity = {"name": name, "version": version, "inputs": inputs}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = parent / key
    partial = folder.with_name(key + PARTIAL_STAGE_SUFFIX)
    if (stage := _read(folder)) is not None:
        shutil.rmtree(checkpoints_of(partial), ignore_errors=True)
        return stage
    with explain_disk_errors(folder, 0):
        for remains in (partial, folder):
            if remains.exists():
                shutil.rmtree(remains)
        partial.mkdir(parents=True)
    try:
        begin = time.perf_counter()
        build(partial)
        files = _describe_files(partial)
        record = {**identity, "seconds": round(time.perf_counter() - begin, 3), "files": files}
        (partial / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        _flush(partial)
        publish_folder(partial, folder)
        shutil.rmtree(checkpoints_of(partial), ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Stage(folder, name, key, record["seconds"], False, _entries(files))


def find_stages(parent: Path, name: str, checksums: Mapping[str, str]) -> list[tuple[Stage, Mapping[str, Any]]]:
    """Returns the complete stages of a name that wrote certain files, each with its inputs, oldest first.

    Args:
      parent: Folder of the stages.
      name: What they do.
      checksums: Path below a stage's folder to sha256.
    """
    found = []
    for record in sorted(parent.glob(f"*/{RECORD_FILE}"), key=lambda path: (path.stat().st_mtime_ns, path)):
        stage = _read(record.parent)
        if stage is None or stage.name != name or stage.folder.name.endswith(PARTIAL_STAGE_SUFFIX):
            continue
        if all(path in stage.files and stage.files[path].sha256 == sha256 for path, sha256 in checksums.items()):
            found.append((stage, json.loads(record.read_text(encoding="utf-8"))["inputs"]))
    return found


def key_of(partial: Path) -> str:
    """Returns the key of the stage whose build fills the folder `partial`."""
    return partial.name.removesuffix(PARTIAL_STAGE_SUFFIX)


def checkpoints_of(partial: Path) -> Path:
    """Returns a folder of the same key where a build may keep its state, so that a killed one is not begun anew.

    It outlives the build that is cut off or fails, and goes once the stage is complete. The caller makes it.

    Args:
      partial: The folder that the build fills.
    """
    return partial.with_name(key_of(partial) + _CHECKPOINTS_SUFFIX)


def _read(folder: Path) -> Stage | None:
    """Returns the stage in a folder; None where there is none, or files of it were removed or cut since."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        files = _entries(record["files"])
        if all((folder / path).stat().st_size == entry.size_bytes for path, entry in files.items()):
            return Stage(folder, record["name"], folder.name, record["seconds"], True, files)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    entries = {path.relative_to(folder).as_posix(): describe_file(path) for path in _list_files(folder)}
    return {name: {"sha256": entry.sha256, "size_bytes": entry.size_bytes} for name, entry in entries.items()}


def _entries(files: Mapping[str, Mapping[str, Any]]) -> dict[str, FileEntry]:
    return {name: FileEntry(**entry) for name, entry in files.items()}


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _flush(folder: Path) -> None:
    """Flushes all files and folders below `folder` to the disk."""
    with explain_disk_errors(folder, 0):
        for path in folder.rglob("*"):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
