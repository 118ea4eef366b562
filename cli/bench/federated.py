"""`tandem bench federated`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table

_SLOPE = (100, 1_000, 10_000)


def federated(
    users: Annotated[int, typer.Option("--users", metavar="N", min=20, help="People in the cohort.")] = 1_000,
    slope: Annotated[
        list[int] | None,
        typer.Option("--slope", metavar="N", min=1, help="Cohort to time; may be repeated.  [default: 100 to 10,000]"),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=0, help="Rounds over which memory is followed.")
    ] = 100,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare packed federated rounds with TFF's own.

    Clients a second of both on one cohort and how far their results lie apart; growing cohorts; memory over rounds.
    """
    with open_session(as_json) as session:
        from benchmarks.federated import bench_federated
        from cli.bench.results import write_result
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_federated(
            place, users=users, slope=slope or _SLOPE, rounds=rounds, seed=seed, progress=session.progress
        )
        path = write_result(place, f"federated-{users}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, *tabulate_federated(result))


def tabulate_federated(result: Mapping[str, Any]) -> list[Table]:
    """Returns a row per tower, a row per cohort, and a row per point at which memory was read."""
    from rich.table import Table

    towers = Table(title="one cohort", caption="clients a second: median round; TFF's own: one round")
    for heading in ("tower", "clients", "packed", "TFF's own", "ratio", "largest difference", "largest change"):
        towers.add_column(heading, justify="left" if heading == "tower" else "right")
    for name, tower in result["towers"].items():
        speeds = (f"{tower[key]:,.0f}" for key in ("packed_clients_per_s", "stock_clients_per_s", "ratio"))
        apart = (f"{tower[key]:.1e}" for key in ("largest_difference", "largest_change"))
        towers.add_row(name, f"{tower['num_users']:,}", *speeds, *apart)
    cohorts = Table(title="growing cohorts, reference tower")
    for heading in ("clients", "seconds", "clients a second"):
        cohorts.add_column(heading, justify="right")
    for point in result["slope"]:
        cohorts.add_row(f"{point['num_users']:,}", f"{point['seconds']:.3f}", f"{point['clients_per_s']:,.0f}")
    memory = Table(title="memory, reference tower", caption="without the pages of files")
    for heading in ("round", "worker", "parent"):
        memory.add_column(heading, justify="right")
    for point in result["memory"]:
        memory.add_row(
            f"{point['round']:,}", *(f"{point[key] / 1e6:,.0f} MB" for key in ("worker_bytes", "parent_bytes"))
        )
    return [towers, cohorts, memory]
