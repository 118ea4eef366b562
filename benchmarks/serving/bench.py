"""The service beside a constant of its own framework: throughput when saturated, latency at shares of that.

Saturation is measured first: closed loop, the endpoints taking turns with the constant so that a busy moment of the
machine hits all, medians told. Then open-loop arrivals at shares of each endpoint's own saturation, as many times, with
the median of each percentile; latency runs from the moment a request was due (see `load`). The constant runs in as many
processes as the service (`num_workers`).

Server and load share the machine. On two cores they share those, and the figures are those of a server that has less
than two: what the load took is told beside them.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.serving.load import write_requests
from benchmarks.serving.processes import Laps, Served, run_load, start_floor, start_service
from benchmarks.serving.requests import Endpoint, draw_endpoints
from recsys.config.serving import ServingSettings
from recsys.config.settings import load_settings
from recsys.progress import Progress
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace

LEVELS: Final = (0.5, 0.8)
"""Shares of the saturation throughput at which latency is measured."""

CONNECTIONS: Final = 16
"""Requests that are always under way when a server is saturated."""


@dataclass(frozen=True)
class _Arm:
    """An endpoint at its server."""

    endpoint: Endpoint
    server: Served
    requests: Path

    def saturate(self, seconds: float) -> dict[str, Any]:
        return self._run(seconds=seconds, num_connections=CONNECTIONS)

    def offer(self, rate_per_s: float, seconds: float, seed: int) -> dict[str, Any]:
        return self._run(seconds=seconds, rate_per_s=rate_per_s, seed=seed)

    def _run(self, **how: float) -> dict[str, Any]:
        where = {"host": self.server.host, "port": self.server.port, "requests": str(self.requests)}
        return run_load({**where, **how})


def bench_serving(
    workspace: Workspace,
    *,
    lengths: Sequence[int],
    seconds: float,
    repeats: int,
    seed: int,
    progress: Progress,
    config: Path | None = None,
    num_workers: int | None = None,
) -> dict[str, Any]:
    """Measures the service over the workspace's bundle; returns a result that is JSON-ready.

    Args:
      workspace: With a bundle to serve.
      lengths: Of the lists to re-rank.
      seconds: Of each run.
      repeats: Runs to saturation, and at each level, of each endpoint.
      seed: Of people, lists and arrivals.
      progress: Told what is under way.
      config: Settings of the server; the defaults where it is None.
      num_workers: Processes of the service, and of the constant; what the settings say where it is None.

    Returns:
      `endpoints`, the constant first: `per_second` (the median when saturated), `runs`, `floor_share` (that of the
      constant's), and for each of `levels`: `share`, `offered_per_second`, `per_second`, `latency` (percentiles in
      milliseconds, medians of the runs), `p99_ms_runs`, `num_answers`, `failures` by status, `generator` (its share of
      one core; how late it noticed, p99; medians), `cpu_ms` (of the server's processes, by answer) and `stages_ms`
      (means out of `/metrics`); `server` with `peak_bytes`.

    Raises:
      WorkspaceError: If there is no bundle.
      BundleError: If it is altered.
      ConfigError: If the catalogue is too small for the lists, or a process fails.
    """
    bundle = BundleRegistry(workspace).current()
    endpoints = draw_endpoints(bundle, lengths, seed)
    num_workers = num_workers or load_settings(ServingSettings, config).num_workers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress.stage("starting the server")
        with (
            start_service(workspace.root, folder / "service.log", config, num_workers) as service,
            start_floor(folder / "floor.log", num_workers) as floor,
        ):
            arms = [_arm(endpoint, floor if endpoint is endpoints[0] else service, folder) for endpoint in endpoints]
            results = _measure(arms, seconds, repeats, seed, progress)
            peak_bytes = service.peak_bytes
    return {
        "num_items": bundle.manifest.num_items,
        "seconds": seconds,
        "repeats": repeats,
        "seed": seed,
        "connections": CONNECTIONS,
        "num_workers": num_workers,
        "num_cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "endpoints": results,
        "server": {"peak_bytes": peak_bytes},
    }


def _arm(endpoint: Endpoint, server: Served, folder: Path) -> _Arm:
    path = folder / f"{endpoint.name}.requests"
    write_requests(path, endpoint.requests)
    return _Arm(endpoint, server, path)


def _measure(arms: Sequence[_Arm], seconds: float, repeats: int, seed: int, progress: Progress) -> list[dict[str, Any]]:
    return [
        {
            **rate,
            "levels": [_offer(arm, rate["per_second"], share, seconds, repeats, seed, progress) for share in LEVELS],
        }
        for arm, rate in zip(arms, _saturate(arms, seconds, repeats, progress), strict=True)
    ]


def _saturate(arms: Sequence[_Arm], seconds: float, repeats: int, progress: Progress) -> list[dict[str, Any]]:
    runs: list[list[float]] = [[] for _ in arms]
    for number in range(repeats):
        for arm, told in zip(arms, runs, strict=True):
            progress.stage(f"{arm.endpoint.name}: saturating, run {number + 1} of {repeats}")
            told.append(arm.saturate(seconds)["per_second"])
    floor = median(runs[0])
    return [
        {"name": arm.endpoint.name, "per_second": median(told), "runs": told, "floor_share": median(told) / floor}
        for arm, told in zip(arms, runs, strict=True)
    ]


def _offer(
    arm: _Arm, saturation_per_s: float, share: float, seconds: float, repeats: int, seed: int, progress: Progress
) -> dict[str, Any]:
    rate = share * saturation_per_s
    before, cpu_s = _read_stages(arm), arm.server.cpu_s
    runs = []
    for number in range(repeats):
        progress.stage(f"{arm.endpoint.name}: at {share:.0%}, run {number + 1} of {repeats}")
        runs.append(arm.offer(rate, seconds, seed + number))
    told = merge_runs(runs)
    cpu_ms = 1e3 * (arm.server.cpu_s - cpu_s) / max(1, told["num_answers"])
    stages_ms = mean_stages(before, _read_stages(arm))
    return {"share": share, "offered_per_second": rate, **told, "cpu_ms": cpu_ms, "stages_ms": stages_ms}


def merge_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns sums of what runs counted and medians of what they measured; see `load.run_plan` for the shape of each.

    A stall of the machine is in the percentiles of the run that it met, and in no other's.
    """
    failures: Counter[str] = Counter()
    for run in runs:
        failures.update(run["failures"])
    answered = [run["latency"] for run in runs if run["latency"]]
    return {
        "num_answers": sum(run["num_answers"] for run in runs),
        "failures": dict(sorted(failures.items())),
        "per_second": median(run["per_second"] for run in runs),
        "latency": {name: median(latency[name] for latency in answered) for name in (answered or [{}])[0]},
        "p99_ms_runs": [latency["p99_ms"] for latency in answered],
        "generator": {name: median(run["generator"][name] for run in runs) for name in runs[0]["generator"]},
    }


def _read_stages(arm: _Arm) -> Laps:
    return arm.server.read_stages() if arm.endpoint.name != "constant" else {}


def mean_stages(before: Mapping[tuple[str, str], tuple[float, float]], after: Laps) -> dict[str, float]:
    """Returns milliseconds by stage, the mean over the requests between two looks."""
    means = {}
    for (route, stage), (seconds, count) in after.items():
        past_seconds, past_count = before.get((route, stage), (0.0, 0.0))
        if count > past_count:
            means[stage] = 1e3 * (seconds - past_seconds) / (count - past_count)
    return means
