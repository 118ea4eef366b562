"""Where a dataset's files come from, in whatever wrapping: a folder, a zip, a tar, gzipped or plain."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from recsys.errors import DatasetError


class Files(Protocol):
    """Named files of one dataset."""

    @property
    def label(self) -> str:
        """The place, for messages."""
        ...

    def names(self) -> list[str]:
        """Returns the paths within the place, sorted, `/`-separated."""
        ...

    def read(self, name: str) -> bytes:
        """Returns the bytes of one of `names`."""
        ...


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder, sub-folders included, or a single file."""

    root: Path

    @property
    def label(self) -> str:
        """The path."""
        return str(self.root)

    def names(self) -> list[str]:
        """Paths relative to the folder."""
        if self.root.is_file():
            return [self.root.name]
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return (self.root if self.root.is_file() else self.root / name).read_bytes()


@dataclass(frozen=True)
class ZipFiles:
    """Members of a zip archive."""

    path: Path

    @property
    def label(self) -> str:
        """The path of the archive."""
        return str(self.path)

    def names(self) -> list[str]:
        """Members that are files."""
        with zipfile.ZipFile(self.path) as archive:
            return sorted(name for name in archive.namelist() if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(name)


@dataclass(frozen=True)
class TarFiles:
    """Members of a tar archive, compressed or not."""

    path: Path

    @property
    def label(self) -> str:
        """The path of the archive."""
        return str(self.path)

    def names(self) -> list[str]:
        """Members that are files."""
        with tarfile.open(self.path) as archive:
            return sorted(member.name for member in archive.getmembers() if member.isfile())

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        with tarfile.open(self.path) as archive:
            member = archive.extractfile(name)
            return b"" if member is None else member.read()


def open_files(path: Path) -> Files:
    """Returns the files at `path`: a folder, a `.zip`, a `.tar` or `.tar.gz`, or one file.

    Raises:
      DatasetError: If nothing is there.
    """
    if not path.exists():
        raise DatasetError(f"Expected data at {path}, got nothing there. Check the path given with --from.")
    if path.is_file() and path.suffix == ".zip":
        return ZipFiles(path)
    if path.is_file() and path.name.endswith((".tar", ".tar.gz", ".tgz")):
        return TarFiles(path)
    return FolderFiles(path)


def list_names(files: Files) -> list[str]:
    """Returns the names in `files`.

    Raises:
      DatasetError: If the archive is truncated or no archive.
    """
    try:
        return files.names()
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _broken(files.label, "a whole archive", error) from error


def find_name(files: Files, *wanted: str) -> str | None:
    """Returns the first name whose last component is one of `wanted`, gzipped or not, else None."""
    by_base: dict[str, str] = {}
    for name in list_names(files):
        by_base.setdefault(PurePosixPath(name).name, name)
    for base in wanted:
        for variant in (base, f"{base}.gz"):
            if variant in by_base:
                return by_base[variant]
    return None


def read_content(files: Files, *wanted: str) -> bytes:
    """Returns the uncompressed content of the first of the `wanted` files that is there.

    Args:
      files: Where to look.
      *wanted: Base names, in the order of preference; each may also be there as `.gz`.

    Raises:
      DatasetError: If none is there, or what is there is truncated.
    """
    name = find_name(files, *wanted)
    if name is None:
        raise DatasetError(
            f"Expected {' or '.join(wanted)} (plain or .gz) in {files.label}, "
            f"got {_some(list_names(files))}. Point --from at the unpacked archive or at the archive itself."
        )
    try:
        raw = files.read(name)
        return gzip.decompress(raw) if name.endswith(".gz") else raw
    except (EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, OSError) as error:
        raise _broken(f"{files.label}/{name}", "a whole file", error) from error


def check_sha256(content: bytes, expected: str, label: str) -> None:
    """Refuses content that is not what it claims to be.

    Raises:
      DatasetError: Naming both checksums.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DatasetError(
            f"Expected {label} with sha256 {expected} (uncompressed), got {found}. "
            "The file is altered, truncated or another edition: fetch it again; for data of your own use `events`."
        )


def check_rows(count: int, expected: int, label: str) -> None:
    """Refuses a table of another length.

    Raises:
      DatasetError: Naming both lengths.
    """
    if count != expected:
        raise DatasetError(
            f"Expected {expected:,} rows in {label}, got {count:,}. "
            "The file is truncated or another edition: fetch it again; for a sample of your own use `events`."
        )


def _broken(label: str, expected: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"Expected {expected} at {label}, got one that cannot be read to its end ({error}). "
        "It is truncated or damaged: fetch it again."
    )


def _some(names: list[str]) -> str:
    if not names:
        return "an empty folder"
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
