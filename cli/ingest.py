"""`tandem ingest`: data into a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, MaybeDataName, Seed, SourcePath, WorkspacePath
from cli.session import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.progress import Progress
    from recsys.storage.workspace import DatasetCard, Workspace


def ingest(
    data: MaybeDataName = None,
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    add: Annotated[
        bool,
        typer.Option("--append", help="Add the events of --from to what the workspace holds; known ones are left out."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fill a workspace with a dataset, or add a day's events to it.

    Each person's history is divided in time between the cloud, the device and the test.
    """
    with open_session(as_json) as session:
        from dataclasses import asdict

        from cli.console import tabulate
        from recsys.config.data import DataSettings
        from recsys.config.settings import load_settings
        from recsys.storage.workspace import Workspace

        place = Workspace(workspace)
        if add:
            card = _append(place, data, source, config, session.progress)
            following = f"Next: tandem train --fine-tune --workspace {workspace}"
        else:
            settings = load_settings(DataSettings, config)
            from pipelines.ingestion import ingest as ingest_dataset

            card = ingest_dataset(place, data or "synthetic", settings, seed, source, session.progress)
            following = f"Next: tandem train --workspace {workspace}"
        result = {**asdict(card), "workspace": str(workspace), "seconds": session.seconds}
        session.finish(result, tabulate(result), following)


def _append(
    workspace: Workspace, data: str | None, source: Path | None, config: Path | None, progress: Progress
) -> DatasetCard:
    from pipelines.ingestion import append
    from recsys.errors import ConfigError

    if source is None or config is not None or data not in (None, "events"):
        raise ConfigError(
            "Expected --append with --from PATH to events of your own, and without --config or another --data: they "
            "are divided as the workspace was. See data/event_schema.md."
        )
    return append(workspace, source, progress)
