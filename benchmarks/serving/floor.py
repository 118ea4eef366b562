"""The floor: the framework of the service answering a constant, `python -m benchmarks.serving.floor`.

FastAPI and uvicorn as the service has them, without its middleware, its models and its log. It is sent the same
requests and reads nothing of them.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Final

import uvicorn
from fastapi import FastAPI

PATH: Final = "/constant"

app = FastAPI(openapi_url=None)


@app.post(PATH)
async def constant() -> dict[str, str]:
    """Returns a constant."""
    return {"status": "ok"}


async def serve_constant() -> None:
    """Serves on a free port, which stdout tells, until SIGTERM."""
    # The socket names its protocol, as that of the service does: else Nagle's algorithm would delay its answers.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1_024)
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, ws="none", access_log=False, server_header=False, log_level="warning")
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(serve_constant())
