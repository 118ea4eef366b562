"""`tandem bench survival`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.table import Table


def survival(
    kills: Annotated[int, typer.Option("--kills", metavar="N", min=1, help="Trainings to kill.")] = 10,
    stages: Annotated[
        str | None, typer.Option("--stages", metavar="NAMES", help="Where, with commas between.  [default: all]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Kill `tandem train` in each of its stages and run it again.

    The bundle must be that of a training which was left alone, file for file.
    """
    with open_session(as_json) as session:
        from benchmarks.survival import bench_survival, choose_stages
        from recsys.storage.workspace import Workspace

        place, chosen = Workspace(workspace), choose_stages(stages)
        result = bench_survival(place, kills=kills, seed=seed, progress=session.progress, config=config, stages=chosen)
        path = write_result(place, "survival", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_kills(result))


def tabulate_kills(result: Mapping[str, Any]) -> Table:
    """Returns one row per kill."""
    from rich.table import Table

    same = f"{result['num_same']} of {len(result['kills'])} bundles are the same"
    table = Table(title=same, caption=f"a whole training: {result['whole_seconds']:.1f} s")
    for heading, justify in (("killed in", "left"), ("after", "right"), ("rerun", "right"), ("bundle", "left")):
        table.add_column(heading, justify=justify)
    for kill in result["kills"]:
        outcome = "differs: " + ", ".join(kill["differing"]) if kill["differing"] else "the same"
        if kill["left_behind"]:
            outcome += "; left behind: " + ", ".join(kill["left_behind"])
        table.add_row(kill["hit"] or "nothing: had ended", *_times(kill), outcome)
    return table


def _times(kill: Mapping[str, Any]) -> tuple[str, str]:
    """Returns how long after the beginning of the stage that it was meant for, and how long the rerun took."""
    after = f"{kill['after_s']:.2f} s"
    return (after if kill["hit"] == kill["stage"] else f"{after} of {kill['stage']}"), f"{kill['rerun_seconds']:.1f} s"
