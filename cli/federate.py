"""`tandem federate`: rounds in which devices train their tower together, in simulation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    publish_anyway: Annotated[
        bool, typer.Option("--publish-anyway", help="Publish the new device model even if it is not better.")
    ] = False,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Train the device model in federated rounds.

    Simulated devices train over their private logs; the new device model is published in a new bundle if it is better
    than the current one for people who took no part.
    """
    with open_session(as_json) as session:
        from federated.simulation.program import federate as run_rounds
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings

        settings = _override(load_settings(FederatedSettings, config), rounds, clients, algorithm, publish_anyway)
        from cli.console import tabulate
        from cli.table import tabulate_arms
        from recsys.storage.workspace import Workspace

        report = run_rounds(Workspace(workspace), settings, seed, session.progress).to_json()
        result = {**report, "workspace": str(workspace), "seconds": session.seconds}
        shown = {name: value for name, value in result.items() if not isinstance(value, dict | list | tuple)}
        session.finish(
            result,
            tabulate_arms(
                report, f"last private choices of {report['num_validation_users']:,} people who took no part"
            ),
            tabulate({**shown, "rounds": len(report["rounds"])}),
            report["release"]["reason"],
            _say_next(report, workspace),
        )


def _say_next(report: Mapping[str, Any], workspace: Path) -> str:
    if report["release"]["is_released"]:
        return f"Next: tandem evaluate --workspace {workspace}"
    more = 2 * len(report["rounds"])
    return (
        f"The current bundle stays {report['base_version']}. The rounds are kept: go on from them with a larger "
        f"`--rounds` (say {more}), or publish what they gave with `--publish-anyway`."
    )


def _override(
    settings: FederatedSettings, rounds: int | None, clients: int | None, algorithm: str | None, publish_anyway: bool
) -> FederatedSettings:
    from recsys.config.settings import override_settings

    changes = {"num_rounds": rounds, "clients_per_round": clients, "algorithm": algorithm}
    release = override_settings(settings.release, {"publish_anyway": publish_anyway or None})
    return settings.model_copy(update={"rounds": override_settings(settings.rounds, changes), "release": release})
