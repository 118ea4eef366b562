"""Datasets into workspaces: what `data` reads and divides, with the devices' shards as the Beam job writes them."""

from __future__ import annotations

from pathlib import Path

import data.append
import data.ingest
from data.dataset import Dataset
from data.split import Split
from pipelines.logs import quiet_logs
from recsys.config.data import DataSettings
from recsys.progress import Progress
from recsys.storage.workspace import DatasetCard, Workspace


def ingest(
    workspace: Workspace,
    name: str,
    settings: DataSettings,
    seed: int,
    source: Path | None = None,
    progress: Progress | None = None,
) -> DatasetCard:
    """Reads a dataset, divides it by protocol E and writes it into the workspace (see `data.ingest.ingest`)."""
    return data.ingest.ingest(workspace, name, settings, seed, write_shards, source, progress)


def ingest_divided(
    workspace: Workspace, dataset: Dataset, split: Split, progress: Progress | None = None
) -> DatasetCard:
    """Writes a dataset that is read and divided already (see `data.ingest.ingest_divided`)."""
    return data.ingest.ingest_divided(workspace, dataset, split, write_shards, progress)


def append(workspace: Workspace, source: Path, progress: Progress | None = None) -> DatasetCard:
    """Adds a log of one's own to a workspace (see `data.append.append`)."""
    return data.append.append(workspace, source, write_shards, progress)


def write_shards(divided: Path, devices: Path, num_shards: int, progress: Progress) -> None:
    """Runs `pipelines.shards.job` in this process. Beam is imported here: a filled workspace waits for none."""
    with quiet_logs():
        from pipelines.shards import job

    job.write_shards(divided, devices, num_shards, progress)
