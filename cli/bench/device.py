"""`tandem bench device`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def device(
    users: Annotated[int, typer.Option("--users", metavar="N", min=1, help="People whose lists are timed.")] = 200,
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="VERSION", help="Version to measure.  [default: the current one]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Size and speed of the tower on a device.

    Bytes of each file, milliseconds for 100 candidates and for a local epoch, by LiteRT on one thread.
    """
    with open_session(as_json) as session:
        from benchmarks.device import bench_device
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_device(place, seed=seed, progress=session.progress, max_users=users, version=bundle)
        path = write_result(place, f"device-{result['bundle_version']}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, *tabulate_device(result))


def tabulate_device(result: Mapping[str, Any]) -> Iterator[Table]:
    """Yields a table of inference and one of training."""
    from rich.table import Table

    moved = f"{result['int8_error']:.3f} standard deviations of its list at most"
    title = f"{result['dataset']}: {result['num_lists']:,} lists of 100 candidates"
    table = Table(title=title, caption=f"one thread; int8 moves a score by {moved}")
    for heading in ("device tower", "bytes", "ms (median)", "ms (95 %)", "NDCG@10"):
        table.add_column(heading, justify="left" if heading == "device tower" else "right")
    for name, tower in result["towers"].items():
        times = (f"{tower[key]:.3f}" for key in ("median_ms", "p95_ms"))
        table.add_row(name, f"{tower['size_bytes']:,}", *times, f"{tower['ndcg_at_10']:.4f}")
    yield table
    training = result["training"]
    step = f"{training['batch_size']} lists of {training['num_candidates']}"
    trained = Table(title="Local training", caption=f"one thread; a step takes {step}")
    for heading in ("weights", "bytes of an update", "examples", "ms an epoch (median)", "ms (95 %)", "ms a step"):
        trained.add_column(heading, justify="right")
    trained.add_row(
        f"{training['num_weights']:,}",
        f"{training['update_bytes']:,}",
        f"{training['num_examples']:.1f}",
        *(f"{training[key]:.2f}" for key in ("median_ms", "p95_ms", "step_ms")),
    )
    yield trained
