"""`tandem bench cold`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import format_interval, write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def cold(
    share: Annotated[
        float, typer.Option("--share", metavar="SHARE", min=0.01, max=0.5, help="Share of the items that is hidden.")
    ] = 0.1,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on items that training never saw.

    Hides items from the training log, trains retrieval, and ranks the held-out events on them.
    """
    with open_session(as_json) as session:
        from recsys.config.cloud import CloudSettings
        from recsys.config.settings import load_settings

        settings = load_settings(CloudSettings, config)
        from benchmarks.cold.bench import bench_cold
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        result = bench_cold(place, settings, seed=seed, progress=session.progress, share=share)
        path = write_result(place, f"cold-{seed}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_cold(result))


def tabulate_cold(result: Mapping[str, Any]) -> Table:
    """Returns one row per arm, and one per difference to a baseline."""
    from rich.table import Table

    title = f"{result['dataset']}: {result['num_events']:,} events of {result['num_users']:,} people on hidden items"
    caption = f"{result['num_hidden']:,} of {result['num_items']:,} items hidden; mean and 95 % interval over people"
    table = Table(title=title, caption=caption)
    table.add_column("arm")
    headings = {
        "recall_at_100": "Recall@100 of all",
        "hidden_recall_at_10": "@10 of hidden",
        "hidden_recall_at_100": "@100 of hidden",
    }
    for heading in headings.values():
        table.add_column(heading, justify="right")
    for name, metrics in result["arms"].items():
        table.add_row(name, *(format_interval(metrics[metric]) for metric in headings))
    table.add_section()
    for name, metrics in result["differences"].items():
        table.add_row(name.replace("-", " − "), *(format_interval(metrics[metric], "+") for metric in headings))
    return table
