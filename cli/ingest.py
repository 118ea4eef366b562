"""`tandem ingest`: data into a workspace."""

from __future__ import annotations

from cli.options import DEFAULT_WORKSPACE, AsJson, ConfigPath, DataName, Seed, SourcePath, WorkspacePath
from cli.session import open_session


def ingest(
    data: DataName = "synthetic",
    source: SourcePath = None,
    workspace: WorkspacePath = DEFAULT_WORKSPACE,
    seed: Seed = 0,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Fill a workspace with a dataset.

    Each person's history is divided in time between the cloud, the device and the test.
    """
    with open_session(as_json) as session:
        from recsys.config import DataSettings, load_settings

        settings = load_settings(DataSettings, config)
        from dataclasses import asdict

        from cli.console import tabulate
        from data.ingest import ingest as ingest_dataset
        from recsys.storage.workspace import Workspace

        card = ingest_dataset(Workspace(workspace), data, settings, seed, source, session.progress)
        result = {**asdict(card), "workspace": str(workspace), "seconds": session.seconds}
        session.finish(result, tabulate(result), f"Next: tandem train --workspace {workspace}")
