"""`tandem federate`: rounds in which devices train their tower together, in simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from recsys.config.federated import FederatedSettings


def federate(
    rounds: Annotated[int | None, typer.Option("--rounds", metavar="N", min=1, help="Rounds to run.")] = None,
    clients: Annotated[int | None, typer.Option("--clients", metavar="N", min=1, help="Devices in each round.")] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--algorithm",
            metavar="NAME",
            help="fed_avg, fed_prox, fed_adagrad, fed_adam or fed_yogi.  [default: fed_avg]",
        ),
    ] = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Train the device model in federated rounds.

    Simulated devices train over their private logs; the new device model is published in a new bundle.
    """
    with open_session(as_json) as session:
        from federated.simulation.program import federate as run_rounds
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings

        settings = _override(load_settings(FederatedSettings, config), rounds, clients, algorithm)
        from cli.console import tabulate
        from cli.table import tabulate_arms
        from recsys.storage.workspace import Workspace

        report = run_rounds(Workspace(workspace), settings, seed, session.progress).to_json()
        result = {**report, "workspace": str(workspace), "seconds": session.seconds}
        shown = {name: value for name, value in result.items() if not isinstance(value, dict | list | tuple)}
        session.finish(
            result,
            tabulate_arms(report, f"last private choices of {report['num_validation_users']:,} validation users"),
            tabulate({**shown, "rounds": len(report["rounds"])}),
            f"Next: tandem evaluate --workspace {workspace}",
        )


def _override(
    settings: FederatedSettings, rounds: int | None, clients: int | None, algorithm: str | None
) -> FederatedSettings:
    from recsys.config.settings import override_settings

    changes = {"num_rounds": rounds, "clients_per_round": clients, "algorithm": algorithm}
    return settings.model_copy(update={"rounds": override_settings(settings.rounds, changes)})
