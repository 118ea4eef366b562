"""HTTP as it comes in: uvicorn's faster parser, with a limit on what stands before the body."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 65_536
"""Of the request line and all header fields, beside what came with their beginning in one read."""

_READ_BYTES: Final = 262_144
"""What asyncio reads at once: so much of another request's body may stand before a head."""


class LimitedHead(HttpToolsProtocol):
    """Reads requests by httptools, which llhttp (of Node.js) is behind: a third of the time of h11.

    httptools keeps header fields however many come, so that one connection could fill the memory; here whoever sends
    more than fits is answered 400 and hung up on, as by h11.
    """

    _head_bytes = 0
    _is_in_head = False

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
