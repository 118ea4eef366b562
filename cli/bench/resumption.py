"""`tandem bench resumption`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def resumption(
    kills: Annotated[int, typer.Option("--kills", metavar="N", min=1, help="Runs to kill.")] = 10,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Kill `tandem federate` at random moments and run it again.

    The rounds must end with the weights of a run which was left alone, bit for bit, and no worker may be left behind.
    """
    with open_session(as_json) as session:
        from benchmarks.resumption import bench_resumption
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_resumption(place, kills=kills, seed=seed, progress=session.progress, config=config)
        path = write_result(place, "resumption", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_resumption(result))


def tabulate_resumption(result: Mapping[str, Any]) -> Table:
    """Returns one row per kill."""
    from rich.table import Table

    same = f"{result['num_same']} of {len(result['kills'])} runs end with the same weights"
    whole = f"a whole run: {result['num_rounds']} rounds in {result['whole_seconds']:.1f} s"
    table = Table(title=same, caption=whole)
    for heading in ("killed after", "rounds kept", "workers left", "rerun", "weights"):
        table.add_column(heading, justify="left" if heading == "weights" else "right")
    for kill in result["kills"]:
        times = f"{kill['after_s']:.2f} s", str(kill["num_finished"]), str(kill["num_workers_left"])
        table.add_row(*times, f"{kill['rerun_seconds']:.1f} s", "the same" if kill["is_same"] else "differ")
    return table
