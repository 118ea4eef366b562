"""`tandem bench population`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table

_PEOPLE = (1_000, 10_000, 100_000)
_EVENTS = (50,)


def population(
    people: Annotated[
        list[int] | None,
        typer.Option("--people", metavar="N", min=500, help="People; may be repeated.  [default: 1,000 to 100,000]"),
    ] = None,
    events: Annotated[
        list[int] | None,
        typer.Option("--events", metavar="N", min=10, help="Events of each; may be repeated.  [default: 50]"),
    ] = None,
    clients: Annotated[int, typer.Option("--clients", metavar="N", min=1, help="People in the round.")] = 50,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Run one federated round out of growing populations.

    Logs are drawn over the current bundle's feed; a Beam job writes the shards, which a round reads one by one.
    """
    with open_session(as_json) as session:
        from benchmarks.population.bench import bench_population
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_population(
            place, people or _PEOPLE, events=events or _EVENTS, clients=clients, seed=seed, progress=session.progress
        )
        path = write_result(place, "population", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_population(result))


def tabulate_population(result: Mapping[str, Any]) -> Table:
    """Returns one row per population."""
    from rich.table import Table

    table = Table(title="one round out of everybody", caption="memory: the most that the process held at once")
    for heading in ("people", "events", "on disk", "shards", "memory", "listed", "clients", "round", "memory"):
        table.add_column(heading, justify="right")
    for found in result["populations"]:
        shards, told = found["shards"], found["round"]
        table.add_row(
            f"{found['num_people']:,}",
            f"{found['num_people'] * found['num_events']:,}",
            f"{found['device_bytes'] / 1e6:,.0f} MB",
            f"{shards['seconds']:.1f} s",
            f"{shards['peak_bytes'] / 1e6:,.0f} MB",
            f"{told['list_seconds']:.1f} s",
            f"{told['num_clients']:,}",
            f"{told['round_seconds']:.1f} s",
            f"{told['peak_bytes'] / 1e6:,.0f} MB",
        )
    return table
