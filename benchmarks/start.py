"""How soon a person or a device is answered: the command's help, and a server that has just been started.

Each run is a process of its own. The first one is not counted: it may have to compile and to read from the disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any, Final

from recsys.errors import ConfigError
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

_TANDEM: Final = str(Path(sys.executable).with_name("tandem"))
_TIMEOUT_S: Final = 60.0


def bench_start(workspace: Workspace, *, repeats: int, progress: Progress) -> dict[str, Any]:
    """Returns medians over the runs, and the runs, JSON-ready.

    Args:
      workspace: With a bundle to serve.
      repeats: Runs of each, at least 1.
      progress: Told what is under way.

    Returns:
      `help` and `server`, each with `seconds` (the median) and `runs`; `server` also with `peak_bytes`, the most that
      its process ever held in memory until it was ready, and `first_answer_ms`, both medians.

    Raises:
      WorkspaceError: If there is no bundle.
      ConfigError: If the server ends before it is ready.
    """
    BundleRegistry(workspace).current_version()
    progress.stage("tandem --help")
    helps = [_time_help() for _ in range(repeats + 1)][1:]
    progress.stage("tandem serve")
    servers = [_time_server(workspace) for _ in range(repeats + 1)][1:]
    ready = [server["seconds"] for server in servers]
    middle = {name: median(server[name] for server in servers) for name in ("peak_bytes", "first_answer_ms")}
    return {
        "help": {"seconds": median(helps), "runs": helps},
        "server": {"seconds": median(ready), "runs": ready, **middle},
    }


def _time_help() -> float:
    begin = time.perf_counter()
    subprocess.run([_TANDEM, "--help"], stdout=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=True)
    return time.perf_counter() - begin


def _time_server(workspace: Workspace) -> dict[str, float]:
    """Starts a server on a free port, asks whether it is ready, and ends it."""
    command = [_TANDEM, "serve", "--workspace", str(workspace.root), "--port", "0", "--json"]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line:
                raise ConfigError(f"Expected a server that gets ready, got one that ended. Run `{' '.join(command)}`.")
            asked = time.perf_counter()
            with urllib.request.urlopen(f"{json.loads(line)['url']}/readyz", timeout=_TIMEOUT_S) as answer:
                answer.read()
            end = time.perf_counter()
            peak_bytes = read_peak_bytes(server.pid)
        finally:
            server.terminate()
    return {"seconds": end - begin, "peak_bytes": peak_bytes, "first_answer_ms": 1e3 * (end - asked)}


def read_peak_bytes(process: int | str) -> int:
    """Returns the most memory that a process ever held, as Linux tells it."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
