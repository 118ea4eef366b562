"""One of several server processes, as `crew` starts it: `python -m serving.worker`, with its orders on stdin.

The first line of stdin is JSON: `workspace`, `settings` and the `listener`'s descriptor. Its end means that the parent
is gone. On stdout it writes one line when it answers.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from serving.server import run


def work() -> None:
    """Serves until SIGTERM, SIGINT or the end of stdin."""
    told = json.loads(sys.stdin.buffer.readline())
    settings = ServingSettings.model_validate(told["settings"])
    with socket.socket(fileno=told["listener"]) as listener:
        run(Workspace(Path(told["workspace"])), settings, listener, _tell, lifeline=sys.stdin.fileno())


def _tell(url: str) -> None:
    os.write(sys.stdout.fileno(), f"{url}\n".encode())


if __name__ == "__main__":
    work()
