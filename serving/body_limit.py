"""Refuses bodies that are too large, before anything parses them."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.headers import header_of
from serving.problems import answer_problem

_CLOSE: Final = {"Connection": "close"}
"""The rest of the body is not read, so that the connection cannot be used again."""


class BodyLimit:
    """Reads a body whole, up to a limit, and hands it on; beyond the limit the answer is 413.

    Starlette's own limit answers in plain text where the response begins before the body was read; problems have one
    shape here.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        """Wraps an application.

        Args:
          app: What answers.
          max_body_bytes: The largest body that it gets to see.
        """
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413 or passes the request on with its body read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = None if self._declares_too_much(scope) else await self._read(receive)
        if body is None:
            detail = f"Expected a body of at most {self._max_body_bytes} bytes, got more. Send fewer items at once."
            await answer_problem(413, detail, kind="body-too-large", headers=_CLOSE)(scope, receive, send)
            return
        waiting = [body]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)

    def _declares_too_much(self, scope: Scope) -> bool:
        declared = header_of(scope, b"content-length") or b""
        return declared.isdigit() and int(declared[:20]) > self._max_body_bytes

    async def _read(self, receive: Receive) -> Message | None:
        """Returns one message with the whole body, or that the client has gone; None where the body is too large."""
        message = await receive()
        if not message.get("more_body") and len(message.get("body", b"")) <= self._max_body_bytes:
            return message  # whole at once, as most are, or a client that has gone
        parts, size_bytes = [], 0
        while True:
            if message["type"] != "http.request":
                return message
            parts.append(message.get("body", b""))
            size_bytes += len(parts[-1])
            if size_bytes > self._max_body_bytes:
                return None
            if not message.get("more_body", False):
                return {"type": "http.request", "body": b"".join(parts), "more_body": False}
            message = await receive()
