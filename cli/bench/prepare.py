"""`tandem bench prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table

_SIZES = (1_000_000, 10_000_000)


def prepare(
    rows: Annotated[
        list[int] | None,
        typer.Option("--rows", metavar="N", min=100, help="Events; may be repeated.  [default: 1000000 and 10000000]"),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Runs of each; medians are told.")] = 1,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare the prepare stage with one pandas pass.

    Rows a second, peak memory and growth on synthetic logs with duplicates and unlawful rows; both must agree.
    """
    with open_session(as_json) as session:
        from benchmarks.prepare.bench import bench_prepare
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_prepare(place, rows or _SIZES, repeats=repeats, seed=seed, progress=session.progress)
        path = write_result(place, "prepare", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_prepare(result))


def tabulate_prepare(result: Mapping[str, Any]) -> Table:
    """Returns one row per size and way."""
    from rich.table import Table

    growth = ", ".join(f"{way} × {times:.1f}" for way, times in result["growth"].items())
    caption = f"from the smallest log to the largest: {growth}" if growth else None
    table = Table(title="prepare beside one pandas pass, each in a process of its own", caption=caption)
    for heading in ("events", "way", "seconds", "events/s", "peak memory", "by pandas"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for size in result["sizes"]:
        for way, cost in size["ways"].items():
            memory = f"{cost['peak_bytes'] / 2**30:.2f} GiB"
            ratio = f"× {size['ratio']:.2f}" if way == "prepare" else ""
            figures = (f"{cost['seconds']:.1f}", f"{cost['rows_per_second']:,.0f}", memory, ratio)
            table.add_row(f"{size['rows']:,}", way, *figures)
    return table
