"""The short way to an endpoint whose body is plainly right: one pass over the bytes, and bytes as the answer.

FastAPI looks for the route, parses JSON into Python objects, checks those, and builds an answer of models item by item.
Here a parser (pydantic's own, or msgspec's) reads and checks the body at once, and the endpoint writes its answer as
bytes; the models still describe both in the document. Whatever is not plainly right goes FastAPI's way, which finds the
words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys.errors import TandemError
from serving.problems import answer_tandem_error
from serving.service import Service

JSON: Final = "application/json"

_CONTENT_TYPE: Final = (b"content-type", JSON.encode())


@dataclass(frozen=True)
class Shortcut:
    """An endpoint that may be reached the short way.

    Attributes:
      path: Its path, of POST.
      read: Returns the checked body; raises ValueError where it is not right.
      answer: Returns the answer's bytes; what it raises is answered as FastAPI's way would.
    """

    path: str
    read: Callable[[bytes], Any]
    answer: Callable[[Any, Request, Service], Coroutine[Any, Any, bytes]]


class Shortcuts:
    """Answers what is plainly right, and passes all else on. Stands behind `BodyLimit`, which has read the body."""

    def __init__(self, app: ASGIApp, shortcuts: Mapping[str, Shortcut], service: Service) -> None:
        """Wraps an application.

        Args:
          app: What answers all else.
          shortcuts: By their paths.
          service: What the endpoints share.
        """
        self._app = app
        self._shortcuts = shortcuts
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers by a shortcut, where there is one and the body is right."""
        shortcut = self._shortcuts.get(scope["path"]) if scope["type"] == "http" else None
        if shortcut is None or scope["method"] != "POST" or _CONTENT_TYPE not in scope["headers"]:
            await self._app(scope, receive, send)
            return
        message = await receive()
        try:
            body = shortcut.read(_whole(message))
        except ValueError:
            await self._app(scope, _again(message, receive), send)
            return
        scope["tandem.route"] = shortcut.path
        request = Request(scope, receive)
        try:
            content = await shortcut.answer(body, request, self._service)
        except TandemError as error:
            response = await answer_tandem_error(request, error)
            await response(scope, receive, send)
            return
        # What `send_json` sends, without a response to be made first.
        headers = [_CONTENT_TYPE, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def send_json(content: bytes) -> Response:
    """Returns an answer that is JSON already."""
    return Response(content, media_type=JSON)


def _whole(message: Message) -> bytes:
    """Returns the body that a message holds; nothing, which is no JSON, where it holds but a part or none."""
    return b"" if message.get("more_body") else message.get("body", b"")


def _again(message: Message, receive: Receive) -> Receive:
    """Returns a `receive` that gives a message once more before what follows it."""
    waiting = [message]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
