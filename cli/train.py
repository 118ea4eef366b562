"""`tandem train`: the cloud's pipeline, from the consented log to a published bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, MaybeDataName, Seed, SourcePath, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from recsys.config.cloud import CloudSettings
    from recsys.progress import Progress
    from recsys.storage.workspace import Workspace

RunnerName = Annotated[
    Literal["embedded", "flink", "spark", "dataflow"] | None,
    typer.Option("--runner", metavar="NAME", help="Where the Beam stages run: embedded, flink, spark or dataflow."),
]


def train(
    data: MaybeDataName = None,
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    federated_config: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="TOML file of `tandem federate`, whose [device] shapes the device tower."),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option("--fine-tune", help="Go on from the current bundle, for a few epochs, with what was added since."),
    ] = False,
    runner: RunnerName = None,
    beam_flags: Annotated[
        list[str] | None, typer.Argument(metavar="[-- BEAM_FLAG...]", help="Flags for Beam, as --job_name=monday.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the cloud model, publish a bundle.

    Prepare, train, embed, index, publish; a stage that is complete is skipped, a training that was cut off goes on.
    """
    with open_session(as_json) as session:
        from cli.bundles import describe_bundle
        from cli.console import tabulate
        from recsys.config.cloud import CloudSettings
        from recsys.config.federated import FederatedSettings
        from recsys.config.settings import load_settings

        settings = _choose_runner(load_settings(CloudSettings, config), runner)
        device = load_settings(FederatedSettings, federated_config).device
        from pipelines.job import train as train_bundle
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        _ensure_data(place, data, source, seed, session.progress)
        bundle = train_bundle(place, settings, seed, session.progress, device, beam_flags or (), fine_tune)
        result = {**describe_bundle(bundle.manifest), "workspace": str(workspace), "curves": str(place.curves)}
        result |= {"seed": seed, "seconds": session.seconds}
        curves, following = f"tensorboard --logdir {place.curves}", f"tandem federate --workspace {workspace}"
        session.finish(result, tabulate(result), f"Learning curves: {curves}", f"Next: {following}")


def _choose_runner(settings: CloudSettings, name: str | None) -> CloudSettings:
    """Returns the settings with another runner, where one is named."""
    if name is None:
        return settings
    return settings.model_copy(update={"runner": settings.runner.model_copy(update={"name": name})})


def _ensure_data(workspace: Workspace, name: str | None, source: Path | None, seed: int, progress: Progress) -> None:
    """Ingests where the workspace is empty, or holds another dataset than the one named (which is refused there)."""
    from pipelines.ingestion import ingest
    from recsys.config.data import DataSettings

    filled = (workspace.root / "dataset.json").exists()
    if filled and source is None and name in (None, workspace.read_card().name):
        return
    ingest(workspace, name or "synthetic", DataSettings(), seed, source, progress)
