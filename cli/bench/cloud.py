"""`tandem bench cloud`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.bench.results import report_comparison
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, SourcePath, WorkspacePath
from cli.session import open_session


def cloud(
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol", metavar="NAME", help="P1, P2, P3, P4, P4-full or P5; may be repeated.  [default: P2]"
        ),
    ] = None,
    arms: Annotated[
        str | None, typer.Option("--arms", metavar="NAMES", help="Models, with commas between.  [default: all]")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each model that draws.")] = 1,
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare the cloud's models with simple strong ones.

    Every model learns from the same log and answers the same requests of a published protocol. Finished models are
    kept in the workspace, so that a rerun goes on; figures and a page with plots go into its reports.
    """
    with open_session(as_json) as session:
        from benchmarks.arms import choose_arms
        from benchmarks.cloud import compare_models
        from benchmarks.protocols.registry import read_task
        from cli.comparison import tabulate_comparison
        from recsys.config.cloud import CloudSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        settings, chosen = load_settings(CloudSettings, config), choose_arms(arms)
        place, results, shown = Workspace(workspace), {}, []
        for name in protocol or ["P2"]:
            session.progress.stage(f"reading {name}")
            task, own_seeds = read_task(name, source), range(seed, seed + seeds)
            comparison = compare_models(task, place.root / "bench", chosen, settings, own_seeds, session.progress)
            results[name] = report_comparison(comparison, place)
            shown += tabulate_comparison(results[name])
        session.finish({"protocols": results, "seconds": session.seconds}, *shown)
