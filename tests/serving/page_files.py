"""What holds of every page: files of others are as they were fetched, the own ones name no other server."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from serving.pages import PageFile, Site

_ALLOWED = b"http://www.w3.org/2000/svg"


def check_vendored(folder: Path) -> None:
    """The packed files of a `vendor` folder are those of its checksums, and their licence lies beside them."""
    lines = (folder / "checksums.txt").read_text().splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}
    found = {
        path.name.removesuffix(".gz"): hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        for path in folder.glob("*.gz")
    }
    assert found == expected
    assert "Apache License" in (folder / "LICENSE").read_text()


def own_files(site: Site) -> dict[str, PageFile]:
    """Returns the files that are not vendored, after checking that none of them names an address elsewhere."""
    own = {name: file for name, file in site.files.items() if not file.is_packed}
    assert [name for name, file in own.items() if b"://" in file.content.replace(_ALLOWED, b"")] == []
    return own
