"""Finds a dataset: where the caller says, under `TANDEM_DATA`, in the download cache, or at its origin."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsys.errors import DatasetError

CACHE_FOLDER: Final = Path(".cache") / "tandem-data"
"""Where downloads go, under the current folder; ignored by version control."""

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Origin:
    """Where a dataset comes from.

    Attributes:
      home: The page of its makers, with the licence.
      archive: The address of the archive; None where it must be fetched by hand.
      md5: Of the archive; None where it changes from time to time.
    """

    home: str
    archive: str | None = None
    md5: str | None = None


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"

ORIGINS: Final[dict[str, Origin]] = {
    "movielens-100k": Origin(
        "https://grouplens.org/datasets/movielens/100k/",
        f"{_GROUPLENS}/ml-100k.zip",
        "0e33842e24a9c977be4e0107933c0723",
    ),
    "movielens-1m": Origin(
        "https://grouplens.org/datasets/movielens/1m/", f"{_GROUPLENS}/ml-1m.zip", "c4d9eecfca2ab87c1945afe126590906"
    ),
    "movielens-latest-small": Origin(
        "https://grouplens.org/datasets/movielens/latest/", f"{_GROUPLENS}/ml-latest-small.zip"
    ),
    "kuairand": Origin("https://kuairand.com"),
}


def locate(name: str, source: Path | None) -> Path:
    """Returns the folder, archive or file of a dataset.

    Args:
      name: A dataset that is read from files.
      source: Where the caller says that it is; None searches.

    Raises:
      DatasetError: If it is in none of the places and cannot be downloaded; the message says the ways to give it.
    """
    if source is not None:
        return source
    folder = os.environ.get("TANDEM_DATA")
    if folder and (Path(folder) / name).exists():
        return Path(folder) / name
    origin = ORIGINS.get(name)
    if origin is None:
        raise DatasetError(f"Expected --from PATH with {name!r} (the folder or file of your data), got none.")
    if origin.archive is None:
        raise _missing(name, origin, "it is not offered for direct download")
    cached = CACHE_FOLDER / origin.archive.rsplit("/", 1)[-1]
    if not cached.exists():
        _download(name, origin, origin.archive, cached)
    return cached


def _download(name: str, origin: Origin, address: str, target: Path) -> None:
    """Fetches an archive beside its place and moves it there once its checksum is right."""
    partial = target.with_suffix(".partial")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as reply, partial.open("wb") as file:
            while chunk := reply.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise _missing(name, origin, f"the download of {address} failed: {getattr(error, 'reason', error)}") from error
    if origin.md5 is not None and digest.hexdigest() != origin.md5:
        partial.unlink()
        raise _missing(name, origin, f"the download of {address} has md5 {digest.hexdigest()} in place of {origin.md5}")
    partial.replace(target)


def _missing(name: str, origin: Origin, came: str) -> DatasetError:
    folder = os.environ.get("TANDEM_DATA")
    looked = f"is {folder}, without {name}/" if folder else "is not set"
    return DatasetError(
        f"Expected the files of {name}, got none: TANDEM_DATA {looked}"
        f" and {came}. Three ways to give them: (1) --from PATH, the archive from {origin.home} or its folder; "
        f"(2) TANDEM_DATA=FOLDER that holds {name}/; "
        f"(3) {'run again with a network' if origin.archive else 'or begin with `synthetic`, which needs no files'}."
    )
