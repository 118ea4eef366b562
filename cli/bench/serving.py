"""`tandem bench serving`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import Session, open_session

if TYPE_CHECKING:
    from rich.table import Table

    from recsys.storage.workspace import Workspace

_LEVELS: Final = ("p50", "p90", "p99", "max")
_HEADINGS: Final = ("endpoint", "load", "per second", "of constant", *_LEVELS, "cpu", "failed", "generator")


Items = Annotated[
    int | None,
    typer.Option(
        "--items", metavar="N", min=1_000, help="Draw a catalogue of this size; without it, the bundle's own."
    ),
]
Candidates = Annotated[
    list[int] | None,
    typer.Option(
        "--candidates", metavar="N", min=1, help="Length of a list to re-rank; may be repeated.  [default: 100, 500]"
    ),
]


def serving(
    items: Items = None,
    candidates: Candidates = None,
    run_seconds: Annotated[float, typer.Option("--run-seconds", metavar="S", min=0.5, help="Of each run.")] = 10.0,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Runs of each, medians told.")] = 3,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes of the service, and of the constant.")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Load the service beside a constant of its own framework.

    Throughput when saturated, and percentiles of latency at shares of it, counted from the moment a request was due.
    """
    with open_session(as_json) as session:
        from benchmarks.serving.bench import bench_serving
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_serving(
            place if items is None else _draw(place, items, seed, session),
            lengths=candidates or [100, 500],
            seconds=run_seconds,
            repeats=repeats,
            seed=seed,
            progress=session.progress,
            config=config,
            num_workers=workers,
        )
        path = write_result(place, "serving", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_load(result))


def _draw(place: Workspace, items: int, seed: int, session: Session) -> Workspace:
    """Returns a workspace with a drawn catalogue, which is kept for the next run."""
    from benchmarks.serving.processes import draw_catalogue
    from recsys.storage.workspace import Workspace

    drawn = Workspace(place.root / "bench" / f"serving-{items}-{seed}")
    if not drawn.current.exists():
        session.progress.stage(f"drawing a catalogue of {items:,} items")
        draw_catalogue(drawn.root, items, seed)
    return drawn


def tabulate_load(result: Mapping[str, Any]) -> Table:
    """Returns a row for each endpoint when saturated, and one for each share of that."""
    from rich.table import Table

    peak = f"{result['server']['peak_bytes'] / 2**20:.0f} MiB"
    cores = f"{result['num_cores']} cores for server (processes: {result['num_workers']}) and load"
    title = f"{result['num_items']:,} items, {cores}, {peak} at most"
    table = Table(
        title=title,
        caption="p50 to max: milliseconds from the moment a request was due; cpu: the server's milliseconds for each",
    )
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "endpoint" else "right")
    for endpoint in result["endpoints"]:
        share = f"{endpoint['floor_share']:.0%}"
        table.add_row(endpoint["name"], "saturated", f"{endpoint['per_second']:.0f}", share, *[""] * 7)
        for level in endpoint["levels"]:
            latency = level["latency"]
            times = [f"{latency[f'{name}_ms']:.1f}" if latency else "-" for name in _LEVELS]
            failed, generator = sum(level["failures"].values()), f"{level['generator']['cpu_share']:.0%}"
            ends = (f"{level['cpu_ms']:.2f}", str(failed), generator)
            table.add_row("", f"{level['share']:.0%}", f"{level['per_second']:.0f}", "", *times, *ends)
    return table
