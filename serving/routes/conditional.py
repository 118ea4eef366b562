"""Entity tags: what a client already has is not sent again."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request

from serving.service import Service

CONDITIONAL: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The entity tag that the client holds; where it is that of today the answer is 304.",
            "schema": {"type": "string"},
            "example": '"0123456789abcdef"',
        }
    ]
}
"""What such a route adds to its part of the OpenAPI document."""

ETAG: Final[dict[str, Any]] = {
    "ETag": {"description": "Names what was sent by its content.", "schema": {"type": "string"}}
}
"""The header of its answers there."""


def is_held(request: Request, version: str) -> bool:
    """Whether the client says that it holds this version; counted where it says that it holds any."""
    held = request.headers.get("if-none-match")
    if held is None:
        return False
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in held.split(",")}
    is_hit = version in tags or "*" in tags
    service: Service = request.app.state.service
    service.metrics.record_lookup("client", is_hit)
    return is_hit


def entity_headers(version: str) -> dict[str, str]:
    """Returns the headers that make a client ask again each time, but only by the tag."""
    return {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
