"""`tandem bench start`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def start(
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Runs of each; medians are told.")] = 5,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Time `tandem --help` and the start of a server.

    From the command to its last line, and to the first answer that the server is ready, with its peak memory.
    """
    del seed  # every command takes it; nothing is drawn here
    with open_session(as_json) as session:
        from benchmarks.start import bench_start
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_start(place, repeats=repeats, progress=session.progress)
        path = write_result(place, "start", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_start(result))


def tabulate_start(result: Mapping[str, Any]) -> Table:
    """Returns one row for the help and one for the server."""
    from rich.table import Table

    server = result["server"]
    table = Table(title=f"medians of {len(server['runs'])} starts")
    for heading in ("command", "seconds", "slowest", "peak memory"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    table.add_row("tandem --help", f"{result['help']['seconds']:.2f}", f"{max(result['help']['runs']):.2f}", "")
    memory = f"{server['peak_bytes'] / 2**20:.0f} MiB"
    table.add_row("tandem serve, until ready", f"{server['seconds']:.2f}", f"{max(server['runs']):.2f}", memory)
    return table
