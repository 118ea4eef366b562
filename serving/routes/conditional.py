"""Entity tags: what a client already has is not sent again."""

from __future__ import annotations

from starlette.requests import Request


def is_held(request: Request, version: str) -> bool:
    """Whether the client says that it holds this version."""
    held = request.headers.get("if-none-match", "")
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in held.split(",")}
    return version in tags or "*" in tags


def entity_headers(version: str) -> dict[str, str]:
    """Returns the headers that make a client ask again each time, but only by the tag."""
    return {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
