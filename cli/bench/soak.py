"""`tandem bench soak`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def soak(
    run_seconds: Annotated[float, typer.Option("--run-seconds", metavar="S", min=2.0, help="Of the run.")] = 600.0,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=2, help="Processes that serve.")] = 2,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Load the service for long while bundles are swapped, Redis restarts and a process is killed.

    It serves a copy of the workspace's bundle at 80 % of its throughput. Counts the requests that fail for a client
    that tries again, and tells whether memory grows.
    """
    with open_session(as_json) as session:
        from benchmarks.serving.soak import bench_soak
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_soak(
            place, seconds=run_seconds, num_workers=workers, seed=seed, progress=session.progress, config=config
        )
        path = write_result(place, "soak", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_soak(result))


def tabulate_soak(result: Mapping[str, Any]) -> Table:
    """Returns a row for each figure, and one for each thing that happened."""
    from rich.table import Table

    table = Table(
        title=f"{result['num_workers']} processes, {result['seconds']:.0f} s, "
        f"{result['offered_per_second']:.0f} requests a second",
        caption="failed: after the retries of the client; 0 stands for no answer",
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_row("answered", f"{result['num_answers']:,}")
    table.add_row("attempts by status", _list(result["attempts"]))
    table.add_row("failed by status", _list(result["failures"]))
    for name in ("p50", "p99", "max"):
        table.add_row(f"{name}, ms from when it was due", f"{result['latency'].get(f'{name}_ms', float('nan')):.1f}")
    for number, memory in enumerate(result["memory"], 1):
        slope, last = memory["slope_bytes_per_min"] / 2**20, memory["end_bytes"] / 2**20
        table.add_row(f"memory of survivor {number}", f"{last:.0f} MiB, {slope:+.2f} MiB a minute")
    for event in result["done"]:
        table.add_row(f"after {event['at_s']:.0f} s", event["what"])
    return table


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{status}: {count:,}" for status, count in counts.items()) or "none"
