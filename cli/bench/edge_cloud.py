"""`tandem bench edge-cloud`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.bench.results import write_result
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session


def edge_cloud(
    users: Annotated[
        int | None, typer.Option("--users", metavar="N", min=1, help="Replay at most so many people.  [default: all]")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="VERSION", help="Version to measure.  [default: the current one]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare cloud + device with simple strong models.

    The arms of `tandem evaluate` beside transitions, EASE^R and their blend, which learn from the consented log too.
    cloud_... knows of a person what the cloud does; uploaded_... is a bound, given the person's private log as well.
    """
    with open_session(as_json) as session:
        from benchmarks.edge_cloud import bench_edge_cloud
        from cli.table import tabulate_evaluation
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        place, settings = Workspace(workspace), load_settings(FederatedSettings, config)
        options = {"settings": settings, "max_users": users, "version": bundle}
        result = bench_edge_cloud(place, seed=seed, progress=session.progress, **options)
        path = write_result(place, f"edge-cloud-{result['bundle_version']}", result)
        session.finish({**result, "report_json": str(path), "seconds": session.seconds}, tabulate_evaluation(result))
