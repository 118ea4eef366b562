"""`tandem bench query-tower`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import format_interval, write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def query_tower(
    users: Annotated[
        int | None, typer.Option("--users", metavar="N", min=1, help="At most so many people.  [default: all]")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="VERSION", help="Version to measure.  [default: the current one]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare the devices' int8 query tower with the float one.

    Recall@100 of held-out events, bytes, and milliseconds of a call on one thread.
    """
    with open_session(as_json) as session:
        from benchmarks.query_tower import bench_query_tower
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_query_tower(place, seed=seed, progress=session.progress, max_users=users, version=bundle)
        path = write_result(place, f"query-tower-{result['bundle_version']}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_towers(result))


def tabulate_towers(result: Mapping[str, Any]) -> Table:
    """Returns one row per tower, and one for what int8 changes."""
    from rich.table import Table

    title = f"{result['dataset']}: {result['num_users']:,} people, {result['num_events']:,} held-out events"
    table = Table(title=title, caption="mean and 95 % bootstrap interval over people; one thread")
    for heading in ("query tower", "bytes", "ms (median)", "ms (95 %)", "Recall@100", "NDCG@10"):
        table.add_column(heading, justify="left" if heading == "query tower" else "right")
    for name, tower in result["towers"].items():
        table.add_row(
            name,
            f"{tower['size_bytes']:,}",
            f"{tower['median_ms']:.3f}",
            f"{tower['p95_ms']:.3f}",
            format_interval(tower["recall_at_100"]),
            format_interval(tower["ndcg_at_10"]),
        )
    change = result["differences"]["int8-float"]
    changes = (format_interval(change[metric], "+") for metric in ("recall_at_100", "ndcg_at_10"))
    table.add_row("int8 − float", "", "", "", *changes)
    return table
