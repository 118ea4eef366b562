"""The floor: the framework of the service answering a constant, `python -m benchmarks.serving.floor NUM_WORKERS`.

FastAPI and uvicorn as the service has them, without its middleware, its models and its log. It is sent the same
requests and reads nothing of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from typing import Final

import uvicorn
from fastapi import FastAPI

PATH: Final = "/constant"
_BACKLOG: Final = 1_024

app = FastAPI(openapi_url=None)


@app.post(PATH)
async def constant() -> dict[str, str]:
    """Returns a constant."""
    return {"status": "ok"}


async def serve_constant(listener: socket.socket) -> None:
    """Serves on a socket until SIGTERM."""
    options = {"http": "httptools", "ws": "none", "access_log": False, "server_header": False}
    config = uvicorn.Config(app, backlog=4, log_level="warning", **options)
    await _Server(config, listener).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Lets many connections wait, though it accepts few at once."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        super().__init__(config)
        self._listener = listener

    async def on_tick(self, counter: int) -> bool:
        if counter == 0:
            self._listener.listen(_BACKLOG)
        return await super().on_tick(counter)


def main(num_workers: int) -> None:
    """Serves in so many processes on a free port, which stdout tells; the others end with the first.

    They share the socket, and accept few connections at once, as those of the service do.
    """
    # The socket names its protocol, as that of the service does: else Nagle's algorithm would delay its answers.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        lifeline, held = os.pipe()
        for _ in range(num_workers - 1):
            if os.fork() == 0:
                os.close(held)
                threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
                break
        else:
            sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
            sys.stdout.flush()
        asyncio.run(serve_constant(listener))


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
