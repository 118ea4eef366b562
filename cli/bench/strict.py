"""`tandem bench strict`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, SourcePath, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def strict(
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", metavar="NAME", help="P1, P2, P4 or P4-full; may be repeated.  [default: P2]"),
    ] = None,
    dropout: Annotated[
        float, typer.Option("--dropout", metavar="SHARE", min=0.0, max=0.99, help="Devices that never upload.")
    ] = 0.0,
    validation: Annotated[
        bool, typer.Option("--validation", help="Ask for the validation part, on which settings are chosen.")
    ] = False,
    tower: Annotated[
        bool, typer.Option("--tower", help="Also learn a sequence tower by rounds; takes much longer.")
    ] = False,
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval learned from secure sums alone.

    No choice leaves its device but in a sum over all devices; beside it the same models with every history known.
    With --tower a sequence tower is learned by rounds on top.
    """
    with open_session(as_json) as session:
        from benchmarks.protocols.registry import read_task
        from benchmarks.strict import bench_strict
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        settings = load_settings(FederatedSettings, config)
        place, results, shown = Workspace(workspace), {}, []
        part = "validation" if validation else "test"
        learned = settings.strict_tower if tower else None
        options = {"dropout": dropout, "seed": seed, "progress": session.progress, "tower": learned}
        for name in protocol or ["P2"]:
            session.progress.stage(f"reading {name}")
            task, folder = read_task(name, source, part), place.root / "bench" / "strict"
            result = bench_strict(task, folder, settings.strict, **options)
            path = write_result(place, f"strict-{name}-{part}", result)
            results[name] = {**result, "part": part, "report_json": str(path)}
            shown += tabulate_strict(results[name])
        session.finish({"protocols": results, "seconds": session.seconds}, *shown)


def tabulate_strict(result: Mapping[str, Any]) -> Iterator[Table]:
    """Yields a table of figures, one of the arms' costs and one of the sums."""
    from rich.table import Table

    from cli.table import tabulate_arms

    federation = result["federation"]
    yield tabulate_arms(result["groups"]["all"], f"{result['protocol']} {result['title']}, {result['part']}")
    yield _tabulate_costs(federation, result["num_items"])
    if "tower" in federation:
        yield _tabulate_tower(federation["tower"])
    sums = Table(title=f"Secure sums over {federation['num_devices']:,} devices")
    for heading in (
        "vector",
        "uploads",
        "cells",
        "not 0 on a device",
        "bits a cell",
        "up, MB",
        "seconds",
        "the plain sum",
    ):
        sums.add_column(heading, justify="left" if heading == "vector" else "right")
    for name, held in federation["sums"].items():
        sums.add_row(
            name,
            f"{held['num_uploads']:,}",
            f"{held['num_cells']:,}",
            f"{held['cells_per_device']:,.0f}",
            f"{held['bits_per_cell']:.1f}",
            f"{held['upload_bytes'] / 1e6:,.2f}",
            f"{held['seconds']:,.1f}",
            "bit for bit" if held["equals_plain_sum"] else "NO",
        )
    yield sums


def _tabulate_tower(tower: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(
        title="A device in a round of the tower",
        caption=f"{tower['rounds']:,} rounds, {tower['seconds']:,.0f} s; loss {tower['first_loss']:.3f} to "
        f"{tower['last_loss']:.3f}",
    )
    for heading in (
        "rounds of a device",
        "rows touched",
        "rows",
        "up masked, MB",
        "up were rows no secret, MB",
        "down, MB",
    ):
        table.add_column(heading, justify="right")
    sizes = (tower[name] / 1e6 for name in ("upload_bytes", "submodel_bytes", "download_bytes"))
    table.add_row(
        f"{tower['uploads_per_device']:,.1f}",
        f"{tower['submodel_rows']:,}",
        f"{tower['rows']:,}",
        *(f"{size:,.3f}" for size in sizes),
    )
    return table


def _tabulate_costs(federation: Mapping[str, Any], num_items: int) -> Table:
    from rich.table import Table

    kept = f"{federation['num_kept']:,} of {num_items:,} items are common enough"
    costs = Table(
        title="Bytes of one device", caption=f"{federation['rounds']} rounds, {federation['seconds']:,.0f} s; {kept}"
    )
    for heading in ("arm", "up, MB", "down, MB"):
        costs.add_column(heading, justify="left" if heading == "arm" else "right")
    for name, cost in federation["costs"].items():
        costs.add_row(name, *(f"{cost[key] / 1e6:,.2f}" for key in ("upload_bytes", "download_bytes")))
    return costs
