"""The page at `/docs`. Its files come from this server: it works where no other can be reached, and tells none."""

from __future__ import annotations

from fastapi import APIRouter

from serving.pages import Site, add_files

router = APIRouter(prefix="/docs", include_in_schema=False)

SITE = Site("/docs", "serving.reference", {"style-src": "'self' 'unsafe-inline'", "img-src": "'self' data:"})
"""Swagger UI writes styles into its elements, and its pictures lie in its style sheet."""

add_files(router, SITE)
