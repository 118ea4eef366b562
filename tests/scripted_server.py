"""A server of few words, for the tests of those who ask: it answers by a script, whatever it is asked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Scripted:
    """Answers each request of each connection by the next answer of a script, its last one for ever."""

    def __init__(self, *answers: bytes, first_after_s: float = 0.0) -> None:
        self._answers, self._delay_s = list(answers), first_after_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # who asked may have gone
            while connection.recv(65_536):
                time.sleep(self._delay_s)
                self._delay_s = 0.0
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if not answer:
                    return
                for place in range(0, len(answer), 7):  # in pieces, as a network may bring it
                    connection.sendall(answer[place : place + 7])

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def scripted() -> Iterator[type[Scripted]]:
    """Its servers are closed at the end of the test."""
    started: list[Scripted] = []

    class Started(Scripted):
        def __init__(self, *answers: bytes, first_after_s: float = 0.0) -> None:
            super().__init__(*answers, first_after_s=first_after_s)
            started.append(self)

    yield Started
    for server in started:
        server.close()
