"""The page at `/docs`. Its files come from this server: it works where no other can be reached, and tells none."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from serving.pages import INDEX, VENDOR, Site

router = APIRouter(prefix="/docs", include_in_schema=False)

SITE = Site("/docs", "serving.reference", {"style-src": "'self' 'unsafe-inline'", "img-src": "'self' data:"})
"""Swagger UI writes styles into its elements, and its pictures lie in its style sheet."""

NameParameter = Annotated[str, Path(max_length=128)]


@router.get("")
async def page(request: Request) -> Response:
    """Returns the page."""
    return SITE.answer(request, INDEX)


@router.get(f"/{VENDOR}/{{name}}")
async def vendor_file(name: NameParameter, request: Request) -> Response:
    """Returns a file of Swagger UI."""
    return SITE.answer(request, f"{VENDOR}/{name}")


@router.get("/{name}")
async def page_file(name: NameParameter, request: Request) -> Response:
    """Returns a file of the page."""
    return SITE.answer(request, name)
