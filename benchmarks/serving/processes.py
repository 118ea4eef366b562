"""The processes of a measurement: the service, the floor, and the load."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.start import read_peak_bytes
from recsys.errors import ConfigError

_ROOT: Final = Path(__file__).resolve().parents[2]
_TANDEM: Final = str(Path(sys.executable).with_name("tandem"))
_TIMEOUT_S: Final = 60.0
_STAGE: Final = re.compile(
    r'tandem_stage_seconds_(?P<kind>sum|count)\{route="(?P<route>[^"]+)",stage="(?P<stage>[^"]+)"\} (?P<value>\S+)'
)

Laps = dict[tuple[str, str], tuple[float, float]]
"""Route and stage to seconds and requests so far."""


@dataclass(frozen=True)
class Served:
    """A server process that answers."""

    host: str
    port: int
    pid: int

    @property
    def workers(self) -> list[int]:
        """Ids of the processes that it shares its work with; none where it serves alone."""
        return [pid for pid, parent in _read_parents().items() if parent == self.pid]

    @property
    def peak_bytes(self) -> int:
        """The most memory that its processes ever held, added up."""
        return sum(read_peak_bytes(pid) for pid in (self.pid, *self.workers))

    @property
    def cpu_s(self) -> float:
        """Seconds of all its threads on a core so far, those in the kernel too, as Linux counts them."""
        return sum(_read_cpu_s(pid) for pid in (self.pid, *self.workers))

    def read_stages(self) -> Laps:
        """Returns the times of the stages, as `/metrics` has them."""
        with urlopen(f"http://{self.host}:{self.port}/metrics", timeout=_TIMEOUT_S) as answer:
            text = answer.read().decode()
        found: dict[tuple[str, str], dict[str, float]] = {}
        for match in _STAGE.finditer(text):
            found.setdefault((match["route"], match["stage"]), {})[match["kind"]] = float(match["value"])
        return {key: (figures["sum"], figures["count"]) for key, figures in found.items()}


@contextmanager
def start_service(workspace: Path, log: Path, config: Path | None, num_workers: int = 1) -> Iterator[Served]:
    """Runs `tandem serve` over a workspace in so many processes; its log, one line a request, goes to a file.

    Raises:
      ConfigError: If it ends before it is ready.
    """
    command = [_TANDEM, "serve", "--workspace", str(workspace), "--port", "0", "--workers", str(num_workers), "--json"]
    if config is not None:
        command += ["--config", str(config)]
    with _run(command, log) as (pid, line):
        told = json.loads(line)
        if "error" in told:
            raise ConfigError(f"Expected a server that gets ready, got one that ended: {told['error']['message']}")
        yield _at(told["url"], pid)


@contextmanager
def start_floor(log: Path, num_workers: int = 1) -> Iterator[Served]:
    """Runs the constant in so many processes; see `floor`.

    Raises:
      ConfigError: If it ends before it is ready.
    """
    with _run([sys.executable, "-m", "benchmarks.serving.floor", str(num_workers)], log) as (pid, line):
        yield _at(line.strip(), pid)


def run_load(plan: Mapping[str, Any], kind: str = "load") -> dict[str, Any]:
    """Runs a plan in a process of its own.

    Args:
      plan: See `run_plan` of the kind.
      kind: The module that runs it, `load` or `patience`.

    Raises:
      ConfigError: If it fails, most likely because the server did.
    """
    command = [sys.executable, "-m", f"benchmarks.serving.{kind}"]
    done = subprocess.run(command, cwd=_ROOT, input=json.dumps(plan), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"Expected the load to run to its end, got: {done.stderr[-2_000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def draw_catalogue(workspace: Path, num_items: int, seed: int) -> None:
    """Publishes a drawn bundle, in a process of its own; see `catalogue`.

    Raises:
      ConfigError: If it fails.
    """
    folder = workspace.absolute()  # the process runs in another one
    command = [sys.executable, "-m", "benchmarks.serving.catalogue", str(folder), str(num_items), str(seed)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"Expected a catalogue of {num_items} items to be drawn, got: {done.stderr[-2_000:]}")


@contextmanager
def _run(command: list[str], log: Path) -> Iterator[tuple[int, str]]:
    """Runs a server; yields its process id and its first line."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as server,
    ):
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line.strip():
                told = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
                raise ConfigError(f"Expected a server that gets ready, got one that ended: {told}")
            yield server.pid, line
        finally:
            server.terminate()


def _read_parents() -> dict[int, int]:
    """Returns the parent of every process that there is."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(path.name)] = int(_read_stat(path)[1])
    return parents


def _read_cpu_s(pid: int) -> float:
    fields = _read_stat(Path(f"/proc/{pid}"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read_stat(process: Path) -> list[str]:
    """Returns what Linux tells of a process, from its state on: its name, which may hold anything, comes before."""
    return (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _at(url: str, pid: int) -> Served:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ConfigError(f"Expected the server's URL with its port, got {url!r}.")
    return Served(parts.hostname, parts.port, pid)
