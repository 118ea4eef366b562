"""HTTP as it comes in and goes out: uvicorn's faster parser, a limit on what stands before a body, whole answers."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 65_536
"""Of the request line and all header fields, beside what came with their beginning in one read."""

_READ_BYTES: Final = 262_144
"""What asyncio reads at once: so much of another request's body may stand before a head."""

_SHORT_BYTES: Final = 65_536
"""Bodies up to here are copied behind their head; longer ones cost more to copy than a call of the kernel."""


class Protocol(HttpToolsProtocol):
    """Reads requests by httptools, which llhttp (of Node.js) is behind: a third of the time of h11.

    httptools keeps header fields however many come, so that one connection could fill the memory; here whoever sends
    more than fits is answered 400 and hung up on, as by h11.
    """

    _head_bytes = 0
    _is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begins a connection."""
        super().connection_made(cast(asyncio.Transport, WholeAnswers(transport, self.loop)))

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("Request line and header fields are too long.")

    def on_message_begin(self) -> None:
        """Begins a head."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, -_READ_BYTES

    def on_headers_complete(self) -> None:
        """Ends it."""
        super().on_headers_complete()
        self._is_in_head = False


class WholeAnswers:
    """A transport that sends the head of an answer together with the body behind it.

    uvicorn writes them one after the other: two calls of the kernel, and a client that wakes up for a head alone.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Wraps a transport.

        Args:
          transport: Of the connection.
          loop: A head is held back no longer than until its next turn.
        """
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        """Returns what the transport has beside writing and closing."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends bytes, the beginning of an answer a little later."""
        if self._head and len(data) <= _SHORT_BYTES:
            data, self._head = self._head + data, b""
        elif not self._head and data[:9] == b"HTTP/1.1 ":  # of a view of bytes as well
            self._head = data
            self._loop.call_soon(self._let_go)
            return
        self._let_go()
        self._transport.write(data)

    def close(self) -> None:
        """Closes the connection once all is sent."""
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)
