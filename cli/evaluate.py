"""`tandem evaluate`: the held-out period, cloud alone against cloud and device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from federated.simulation.evaluation import Evaluation
    from recsys.storage.workspace import Workspace


def evaluate(
    users: Annotated[
        int | None, typer.Option("--users", metavar="N", min=1, help="Replay at most so many people.  [default: all]")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="VERSION", help="Version to evaluate.  [default: the current one]")
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Compare the cloud with cloud + device.

    Replays each person's held-out period in every arm; writes the figures and a page with plots into the workspace.
    """
    with open_session(as_json) as session:
        from cli.console import tabulate
        from cli.table import tabulate_evaluation, tabulate_groups, tabulate_harm
        from federated.simulation.evaluation import evaluate as replay
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        place, settings = Workspace(workspace), load_settings(FederatedSettings, config)
        evaluation = replay(
            place, seed=seed, settings=settings, progress=session.progress, max_users=users, version=bundle
        )
        paths = report_evaluation(evaluation, place)
        result = {**evaluation.to_json(), **paths, "workspace": str(workspace), "seconds": session.seconds}
        tables = (tabulate_evaluation(result), tabulate_harm(result), tabulate_groups(result))
        session.finish(result, *tables, tabulate(paths))


def report_evaluation(evaluation: Evaluation, workspace: Workspace) -> dict[str, Any]:
    """Writes the report into the workspace; returns its two paths by name."""
    from cli.report.page import write_report

    json_path, html_path = write_report(evaluation, workspace.reports)
    return {"report_json": str(json_path), "report_html": str(html_path)}
