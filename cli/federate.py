"""`tandem federate`: rounds in which devices train their tower together, in simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.epilog import example
from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, Seed, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from federated.simulation.worker import Worker
    from recsys.config.federated import FederatedSettings


Algorithm = Annotated[
    str | None,
    typer.Option(
        "--algorithm",
        metavar="NAME",
        help="fed_avg, fed_prox, fed_adagrad, fed_adam, fed_yogi or fed_recon.  [default: fed_avg]",
    ),
]
Aggregator = Annotated[
    str | None,
    typer.Option("--aggregator", metavar="NAME", help="mean, robust, compressed or secure.  [default: mean]"),
]
Epsilon = Annotated[
    float | None,
    typer.Option(
        "--epsilon", metavar="E", min=0, help="Differential privacy of people, over all rounds.  [default: none]"
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers", metavar="HOST:PORT,...", help="Compute in these workers.  [default: one of the command's own]"
    ),
]
PublishAnyway = Annotated[
    bool, typer.Option("--publish-anyway", help="Publish the new device model even if it is not better.")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on from the run with these settings and seed; refuse where there is none."),
]

federation = typer.Typer()


@federation.callback(
    invoke_without_command=True,
    subcommand_metavar="[worker ...]",
    epilog=example(
        "tandem federate --rounds 10 --clients 100",
        "tandem federate --json | jq .version",
        "tandem federate --resume",
        "tandem federate --workers one.local:7501,two.local:7501",
    ),
)
def federate(
    context: typer.Context,
    rounds: Annotated[int | None, typer.Option("--rounds", metavar="N", min=1, help="Rounds to run.")] = None,
    clients: Annotated[int | None, typer.Option("--clients", metavar="N", min=1, help="Devices in each round.")] = None,
    algorithm: Algorithm = None,
    aggregator: Aggregator = None,
    epsilon: Epsilon = None,
    workers: Workers = None,
    publish_anyway: PublishAnyway = False,
    resume: Resume = False,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Train the device model in federated rounds.

    Simulated devices train over their private logs; the new device model is published in a new bundle if it is better
    than the current one for people who took no part. The same command goes on with a run that was cut off; with
    --resume it begins no new one.
    """
    if context.invoked_subcommand is not None:
        return
    with open_session(as_json) as session:
        from federated.simulation.checkpoint import RunFolder
        from federated.simulation.program import federate as run_rounds
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings

        changes = {
            "rounds": {"num_rounds": rounds, "clients_per_round": clients, "algorithm": algorithm},
            "aggregation": {"kind": aggregator},
            "privacy": {"epsilon": epsilon},
            "workers": {"addresses": workers.split(",") if workers is not None else None},
            "release": {"publish_anyway": publish_anyway or None},
        }
        settings = _override(load_settings(FederatedSettings, config), changes)
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        report = run_rounds(place, settings, seed, session.progress, must_resume=resume).to_json()
        curves = RunFolder(place.federated / report["run"]).curves
        result = {**report, "workspace": str(workspace), "curves": str(curves), "seconds": session.seconds}
        session.finish(result, *_show(result))


@federation.command(
    epilog=example("tandem federate worker", "tandem federate worker --port 7501 --workspace /shared/tandem")
)
def worker(
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 0,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Run a worker for `tandem federate --workers`.

    It must see the workspace of that command under the same path. It listens on all interfaces without authentication:
    run it where the network is trusted. Ctrl-C ends it.
    """
    del seed  # every verb takes it; nothing is drawn here
    with open_session(as_json) as session:
        import socket

        from federated.simulation.hosts import host_worker
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        settings = load_settings(FederatedSettings, config)

        def announce(started: Worker) -> None:
            address = f"{socket.gethostname()}:{started.port}"
            result = {"address": address, "port": started.port, "log": str(started.log_path)}
            session.finish(
                {**result, "seconds": session.seconds},
                f"A worker listens at {address} (all interfaces, without authentication); Ctrl-C ends it.",
                f"Use it: tandem federate --workers {address}",
            )

        host_worker(Workspace(workspace).federated, port, settings.rounds.worker_start_s, announce)


def _show(result: Mapping[str, Any]) -> list[RenderableType]:
    from cli.console import tabulate
    from cli.table import tabulate_arms

    people = f"{result['num_validation_users']:,} people who took no part"
    facts = {name: value for name, value in result.items() if not isinstance(value, dict | list | tuple)}
    return [
        tabulate_arms(result, f"last private choices of {people}"),
        tabulate({**facts, "rounds": len(result["rounds"]), **_say_privacy(result)}),
        result["release"]["reason"],
        f"Curves of the rounds: tensorboard --logdir {result['curves']}",
        _say_next(result),
    ]


def _say_next(report: Mapping[str, Any]) -> str:
    if report["release"]["is_released"]:
        return f"Next: tandem evaluate --workspace {report['workspace']}"
    stays = f"The current bundle stays {report['base_version']}. The rounds are kept"
    if report["privacy"]:
        return f"{stays}: publish what they gave with `--publish-anyway`."
    more = 2 * len(report["rounds"])
    return (
        f"{stays}: go on from them with a larger `--rounds` (say {more}), or publish what they gave with "
        "`--publish-anyway`."
    )


def _say_privacy(report: Mapping[str, Any]) -> dict[str, str]:
    privacy = report["privacy"]
    if not privacy:
        return {}
    drawn = f"{privacy['sampling_rate']:.2%} of {privacy['num_people']:,} people a round"
    promise = f"epsilon {privacy['epsilon']:g} at delta {privacy['delta']:g}"
    return {"privacy": f"{promise}; noise {privacy['noise_multiplier']:.3g} for {drawn}"}


def _override(settings: FederatedSettings, changes: Mapping[str, Mapping[str, object]]) -> FederatedSettings:
    """Returns the settings with some values of some sections changed, where they are not None."""
    from recsys.config.settings import override_settings

    sections = {name: override_settings(getattr(settings, name), given) for name, given in changes.items()}
    return settings.model_copy(update=sections)
