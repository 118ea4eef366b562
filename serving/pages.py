"""Pages of a package's own files: read once, sent as they are; nothing is built, nothing comes from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from serving.problems import UnknownFileError
from serving.routes.conditional import entity_headers, is_held

INDEX: Final = "index.html"
VENDOR: Final = "vendor"
"""Folder of what others made: what its `vendor.sh` fetched, packed by gzip."""

NameParameter = Annotated[str, Path(max_length=128)]

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""The browser itself sees to it that a page talks to this server alone."""


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Attributes:
      content: Its bytes as they lie in the package.
      sha256: Of `content`.
      media_type: Of what it holds.
      is_packed: Whether `content` is packed by gzip.
    """

    content: bytes
    sha256: str
    media_type: str
    is_packed: bool


@dataclass(frozen=True)
class Site:
    """The files of one page.

    Attributes:
      path: Where the page is.
      package: Where they lie.
      policy: Directives of its content security policy that differ from what every page has.
    """

    path: str
    package: str
    policy: Mapping[str, str]

    @cached_property
    def files(self) -> dict[str, PageFile]:
        """Path below the page to file: what lies in the package, and in its `vendor` folder."""
        root = resources.files(self.package)
        found = {entry.name: entry for entry in root.iterdir()}
        found |= {f"{VENDOR}/{entry.name}": entry for entry in root.joinpath(VENDOR).iterdir()}
        files = {}
        for path, entry in found.items():
            name = path.removesuffix(".gz")
            media_type = _MEDIA_TYPES.get(name[name.rfind(".") :])
            if media_type is not None:
                content = entry.read_bytes()
                files[name] = PageFile(content, hashlib.sha256(content).hexdigest(), media_type, name != path)
        return files

    @property
    def _headers(self) -> dict[str, str]:
        return {
            "Content-Security-Policy": "; ".join(
                f"{name} {value}" for name, value in {**_POLICY, **self.policy}.items()
            ),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    def answer(self, request: Request, path: str) -> Response:
        """Returns a file of the page with its entity tag.

        Raises:
          UnknownFileError: If the page has no such file.
        """
        file = self.files.get(path)
        if file is None:
            raise UnknownFileError(f"Expected a file of the page {self.path}, got another name. Open {self.path}.")
        headers = {**entity_headers(file.sha256), **self._headers}
        if is_held(request, file.sha256):
            return Response(status_code=304, headers=headers)
        content = file.content
        if file.is_packed:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
            else:
                content = gzip.decompress(content)
        return Response(content, headers=headers, media_type=file.media_type)


def add_files(router: APIRouter, site: Site) -> None:
    """Lets a router send the files of a page, whose own path is the router's; to be called behind all other paths."""

    @router.get(f"/{VENDOR}/{{name}}")
    async def vendor_file(name: NameParameter, request: Request) -> Response:
        """Returns a file that others made."""
        return site.answer(request, f"{VENDOR}/{name}")

    @router.get("/{name}")
    async def page_file(name: NameParameter, request: Request) -> Response:
        """Returns a file of the page."""
        return site.answer(request, name)

    @router.get("")
    async def page(request: Request) -> Response:
        """Returns the page."""
        return site.answer(request, INDEX)
