"""A long run at most of what the server can do, with everything happening to it that happens to servers.

Several processes serve a copy of the workspace's bundle at 80 % of what they answer when saturated. Meanwhile three
bundles are published, Redis is killed and comes back, and one of the processes is killed. What counts is how many
requests have failed for a client that tries again as `serving.client` does (see `patience`), and whether the memory of
those that lived throughout grows.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.serving.faults import Redis, Timetable, kill_one, publish_renamed, start_redis
from benchmarks.serving.load import write_requests
from benchmarks.serving.processes import Served, run_load, start_service
from benchmarks.serving.requests import draw_mixture
from recsys.config.serving import ServingSettings
from recsys.config.settings import load_settings
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

LOAD: Final = 0.8
"""Share of the saturation throughput that is offered."""

SWAPS: Final = (0.15, 0.35, 0.55)
REDIS_AWAY: Final = 0.45
KILL: Final = 0.7
"""When things happen, as shares of the whole time."""

WARM: Final = 0.2
"""The share of the time after which memory is looked at: by then caches are full."""

_CONNECTIONS: Final = 16
_SATURATION_S: Final = 10.0
_SAMPLES: Final = 200


def bench_soak(
    workspace: Workspace,
    *,
    seconds: float,
    num_workers: int,
    seed: int,
    progress: Progress,
    config: Path | None = None,
) -> dict[str, Any]:
    """Runs the server for a while; returns a result that is JSON-ready.

    Args:
      workspace: With a bundle to serve; it is copied, not written to.
      seconds: Of the whole run.
      num_workers: Processes that serve, at least 2.
      seed: Of people, lists, arrivals and pauses.
      progress: Told what is under way.
      config: Settings of the server; the defaults where it is None.

    Returns:
      `per_second` when saturated, `offered_per_second`, `store` (`redis` or `embedded`), `done` (seconds and what
      happened then), `num_answers`, `attempts` and `failures` by status (`"0"`: no answer came), `latency`, and
      `memory`: for each process that lived throughout `start_bytes`, `end_bytes` and `slope_bytes_per_min` from the
      time on when it was warm, and the whole course in `course`: pairs of seconds and bytes.

    Raises:
      WorkspaceError: If there is no bundle.
      BundleError: If it is altered.
      ConfigError: If the catalogue is too small, a process fails, or `num_workers` is below 2.
    """
    bundle = BundleRegistry(workspace).current()
    facts = {"num_items": bundle.manifest.num_items, "seconds": seconds, "seed": seed, "num_workers": num_workers}
    with tempfile.TemporaryDirectory() as name, start_redis(Path(name)) as redis:
        folder = Path(name)
        copy = _copy(workspace, folder / "workspace")
        write_requests(folder / "requests", draw_mixture(bundle, seed))
        settings = _write_settings(folder / "serving.toml", config, redis)
        progress.stage("starting the server")
        with start_service(copy.root, folder / "log", settings, num_workers) as server:
            where = {"host": server.host, "port": server.port, "requests": str(folder / "requests"), "seed": seed}
            progress.stage("saturating it")
            saturation = run_load({**where, "seconds": min(_SATURATION_S, seconds), "num_connections": _CONNECTIONS})[
                "per_second"
            ]
            progress.stage(f"soaking it for {seconds:.0f} s")
            timetable, memory = _plan(copy, server, redis, seconds), _Memory(server.workers)
            with timetable.running(), memory.watched(seconds / _SAMPLES):
                told = run_load({**where, "seconds": seconds, "rate_per_s": LOAD * saturation}, "patience")
            left = server.workers
    return {
        **facts,
        "num_workers_at_the_end": len(left),
        "num_cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "store": "embedded" if redis is None else "redis",
        "per_second": saturation,
        "offered_per_second": LOAD * saturation,
        "done": [{"at_s": at_s, "what": what} for at_s, what in timetable.done],
        **told,
        "memory": memory.summarise(seconds),
    }


def _copy(workspace: Workspace, root: Path) -> Workspace:
    """Returns a workspace with what a server reads of another one."""
    for part in ("bundles", "keys", workspace.state.name):
        if (workspace.root / part).exists():
            shutil.copytree(workspace.root / part, root / part)
    shutil.copy(workspace.current, root / workspace.current.name)
    return Workspace(root)


def _write_settings(path: Path, config: Path | None, redis: Redis | None) -> Path:
    settings = load_settings(ServingSettings, config).model_dump(mode="json")
    if redis is not None:
        settings["redis_url"] = redis.url
    # Numbers and plain text are written in TOML as in JSON.
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()), encoding="utf-8")
    return path


def _plan(workspace: Workspace, server: Served, redis: Redis | None, seconds: float) -> Timetable:
    def swap() -> str:
        return f"published {publish_renamed(workspace)}"

    def send_redis_away() -> str:
        if redis is None:
            return "no redis-server on this machine: the embedded store was used throughout"
        redis.restart()
        return "killed Redis and started it again"

    plan = [(share, swap) for share in SWAPS]
    plan += [(REDIS_AWAY, send_redis_away), (KILL, lambda: kill_one(server.workers))]
    return Timetable([(share * seconds, act) for share, act in sorted(plan, key=lambda one: one[0])])


@dataclass
class _Memory:
    """What processes hold over time."""

    pids: Sequence[int]
    seconds: list[float] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)

    @contextmanager
    def watched(self, every_s: float) -> Iterator[None]:
        """Looks at it during the block."""
        over, start_s = threading.Event(), time.monotonic()

        def look() -> None:
            while not over.wait(every_s):
                self.seconds.append(time.monotonic() - start_s)
                self.sizes.append([_read_resident(pid) for pid in self.pids])

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def summarise(self, seconds: float) -> list[dict[str, Any]]:
        """Returns sizes of those that lived throughout: the first and last once they were warm, the slope, and all."""
        moments = np.asarray(self.seconds)
        warm = moments >= WARM * seconds
        told = []
        for sizes in np.asarray(self.sizes, np.float64).T:
            if warm.sum() >= 2 and (sizes > 0).all():
                slope = float(np.polyfit(moments[warm], sizes[warm], 1)[0])
                first, last = sizes[warm][[0, -1]].tolist()
                course = np.stack([moments, sizes], 1).round(1).tolist()
                told.append(
                    {"start_bytes": first, "end_bytes": last, "slope_bytes_per_min": 60.0 * slope, "course": course}
                )
        return told


def _read_resident(pid: int) -> int:
    """Returns the bytes that a process holds; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
