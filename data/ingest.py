"""Fills a workspace with a dataset: the consented log for the cloud, shards for the devices, the catalogue.

Everything is written beside its place and moved there at the end; `dataset.json` comes last, so that a workspace holds
a whole dataset or none. A run that was cut off while the shards were written goes on with them. Who makes these is the
caller's to say: `pipelines.ingestion` gives the Beam job, which `data` may not know.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.dataset import Dataset
from data.divided import DIVIDED_FOLDER, ShardWriter, count_shards, write_divided, write_parts
from data.lawfulness import find_lawful
from data.registry import read_dataset
from data.split import Split, split_edge_cloud
from recsys.config.data import DataSettings
from recsys.contracts.arrays import BoolArray
from recsys.errors import DatasetError, WorkspaceError
from recsys.progress import Progress, Silent
from recsys.storage.atomic import publish_folder
from recsys.storage.workspace import INGEST_FOLDER, PARTIAL_INGEST_FOLDER, DatasetCard, Workspace

_REQUEST = "ingest.json"
"""What was asked for; its presence means that the data folders were written here and may be replaced."""

_PIECES = ("events", "devices", "catalogue", "truth.npz")


def ingest(
    workspace: Workspace,
    name: str,
    settings: DataSettings,
    seed: int,
    write_shards: ShardWriter,
    source: Path | None = None,
    progress: Progress | None = None,
) -> DatasetCard:
    """Reads a dataset, divides it by protocol E and writes it into the workspace.

    The same request on the same workspace again returns at once; a run that was cut off goes on where its shards are
    written, and is begun anew otherwise.

    Args:
      workspace: Where to write.
      name: A key of `data.registry.DATASETS`.
      settings: Size of the synthetic world and shares of the split.
      seed: Of the synthetic world.
      write_shards: Makes the devices' shards.
      source: Folder, archive or file of the data; None looks in `TANDEM_DATA`, then in the download cache.
      progress: A listener.

    Raises:
      DatasetError: If the data is missing or broken, or cannot be written (a full disk).
      WorkspaceError: If the workspace holds another dataset, or folders that are not Tandem's; or the disk is full
        while the shards are written, of which those that are whole stay for the next run.
      ConfigError: If the shares of the split leave nothing to test on.
    """
    listener = progress or Silent()
    request = _describe_request(name, settings, seed, source)
    if (workspace.root / "dataset.json").exists():
        return _reuse(workspace, request, listener)
    _check_ownership(workspace)
    if not _is_divided(workspace, request):
        _read_and_divide(workspace, name, settings, seed, source, request, listener)
    return _finish(workspace, write_shards, listener)


def ingest_divided(
    workspace: Workspace, dataset: Dataset, split: Split, write_shards: ShardWriter, progress: Progress | None = None
) -> DatasetCard:
    """Writes a dataset that is read and divided already, such as by a protocol that measures the cloud alone.

    Args:
      workspace: Where to write; the same dataset under the same division again returns at once.
      dataset: Real data.
      split: By the parts of a workspace (see `Split.consent`).
      write_shards: Makes the devices' shards.
      progress: A listener.

    Raises:
      DatasetError: If it cannot be written (a full disk).
      WorkspaceError: As `ingest` raises it.
    """
    listener = progress or Silent()
    asked = {"name": dataset.name, "split": split.name, "split_fingerprint": split.fingerprint}
    request = _Request(json.dumps(asked, indent=1, sort_keys=True) + "\n", f"{dataset.name} under {split.name}")
    if (workspace.root / "dataset.json").exists():
        return _reuse(workspace, request, listener)
    _check_ownership(workspace)
    if not _is_divided(workspace, request):
        _write(workspace, dataset, split, find_lawful(dataset.events), _describe(dataset, split, 0), request)
    return _finish(workspace, write_shards, listener)


@dataclass(frozen=True)
class _Request:
    """What was asked for, as JSON."""

    text: str
    title: str


def _is_divided(workspace: Workspace, request: _Request) -> bool:
    """Whether an earlier run on the same request left all but the shards."""
    try:
        return (workspace.root / INGEST_FOLDER / _REQUEST).read_text(encoding="utf-8") == request.text
    except OSError:
        return False


def _read_and_divide(
    workspace: Workspace,
    name: str,
    settings: DataSettings,
    seed: int,
    source: Path | None,
    request: _Request,
    listener: Progress,
) -> None:
    listener.stage(f"reading {name}")
    dataset = read_dataset(name, source, settings, seed)
    for note in dataset.notes:
        listener.note(note)
    listener.stage("dividing each history into consented log, private log and test")
    lawful = find_lawful(dataset.events)
    split = split_edge_cloud(dataset.events, settings.split, lawful)
    _write(workspace, dataset, split, lawful, _describe(dataset, split, seed), request)


def _finish(workspace: Workspace, write_shards: ShardWriter, listener: Progress) -> DatasetCard:
    """Makes the shards, moves all into place, and vouches for it with the card, which it returns.

    Raises:
      DatasetError: If the disk is full or the folder not writable.
      WorkspaceError: The same, while the shards are written.
    """
    divided = Workspace(workspace.root / INGEST_FOLDER)
    card = divided.read_card()
    write_shards(divided.root / DIVIDED_FOLDER, divided.devices, count_shards(card.num_users), listener)
    with _explain(workspace, card.name):
        _install(workspace)
        workspace.write_card(card)
    return card


@contextmanager
def _explain(workspace: Workspace, name: str) -> Iterator[None]:
    """Turns an error of the file system into one that says what to do; nothing half-written is left then."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(workspace.root / PARTIAL_INGEST_FOLDER, ignore_errors=True)
        raise DatasetError(
            f"Expected to write {name} into {workspace.root}, got: {error.strerror or error}. "
            "Make room there (or the right to write), or choose another --workspace; then run the same command again."
        ) from error


def _describe_request(name: str, settings: DataSettings, seed: int, source: Path | None) -> _Request:
    files = []
    if source is not None and source.exists():
        found = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in map(Path.resolve, found)]
    asked = {
        "name": name,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "source": None if source is None else str(source.resolve()),
        "files": files,
    }
    return _Request(json.dumps(asked, indent=1, sort_keys=True) + "\n", f"{name} with seed {seed}")


def read_settings(workspace: Workspace) -> DataSettings:
    """Returns the settings with which a workspace was filled.

    Raises:
      WorkspaceError: If nothing was ingested, or it was divided by another protocol than E.
    """
    card = workspace.read_card()
    try:
        asked = json.loads((workspace.root / _REQUEST).read_text(encoding="utf-8"))
        return DataSettings.model_validate(asked["settings"])
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(
            f"Expected {workspace.root} to be divided by protocol E, as `tandem ingest` does it, got {card.name} under "
            f"{card.split}: events can only be added to the former. Choose another --workspace."
        ) from error


def _reuse(workspace: Workspace, request: _Request, progress: Progress) -> DatasetCard:
    card = workspace.read_card()
    try:
        held = (workspace.root / _REQUEST).read_text(encoding="utf-8")
    except OSError:
        held = ""
    if held != request.text:
        raise WorkspaceError(
            f"Expected {workspace.root} to be empty or to hold {request.title} from the same settings and source, "
            f"got {card.name} with seed {card.seed} from another request. "
            "Choose another --workspace, or remove this folder first if nothing in it is needed."
        )
    progress.note(f"{workspace.root} already holds {request.title}: nothing to do.")
    return card


def _check_ownership(workspace: Workspace) -> None:
    if (workspace.root / _REQUEST).exists():
        return
    foreign = [piece for piece in _PIECES if (workspace.root / piece).exists()]
    if foreign:
        raise WorkspaceError(
            f"Expected a workspace that Tandem made, got {workspace.root}, which holds {', '.join(foreign)} of another "
            "origin; they would be overwritten. Choose another --workspace."
        )


def _write(
    workspace: Workspace, dataset: Dataset, split: Split, lawful: BoolArray, card: DatasetCard, request: _Request
) -> None:
    """Leaves all but the shards in a folder that appears whole.

    Raises:
      DatasetError: If the disk is full or the folder not writable; nothing is left then.
      WorkspaceError: If it turns out so at the very end.
    """
    partial = Workspace(workspace.root / PARTIAL_INGEST_FOLDER)
    whole = workspace.root / INGEST_FOLDER
    with _explain(workspace, dataset.name):
        for remains in (partial.root, whole):
            if remains.exists():
                shutil.rmtree(remains)
        for folder in (partial.devices, partial.items.parent):
            folder.mkdir(parents=True)
        write_parts(dataset.events.filter(pa.array(split.mask("consented"))), partial.events)
        for table, path in (
            (dataset.items, partial.items),
            (dataset.rooms, partial.rooms),
            (dataset.users, partial.users),
        ):
            pq.write_table(table, path)
        if dataset.truth is not None:
            dataset.truth.save(partial.truth)
        write_divided(partial.root / DIVIDED_FOLDER, dataset, split, lawful)
        partial.write_card(card)
        (partial.root / _REQUEST).write_text(request.text, encoding="utf-8")
    publish_folder(partial.root, whole)


def _install(workspace: Workspace) -> None:
    """Moves the pieces to their places; the mark comes first, so that a move that was cut off is begun anew."""
    whole = workspace.root / INGEST_FOLDER
    (whole / _REQUEST).replace(workspace.root / _REQUEST)
    for piece in _PIECES:
        target = workspace.root / piece
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        if (whole / piece).exists():
            (whole / piece).rename(target)
    shutil.rmtree(whole)


def _describe(dataset: Dataset, split: Split, seed: int) -> DatasetCard:
    counts = np.bincount(split.codes, minlength=len(split.part_names))
    return DatasetCard(
        name=dataset.name,
        num_users=dataset.users.num_rows,
        num_items=dataset.items.num_rows,
        num_events=dataset.events.num_rows,
        num_consented=int(counts[0]),
        num_private=int(counts[1]),
        num_heldout=int(counts[2]),
        split=split.name,
        split_fingerprint=split.fingerprint,
        seed=seed,
    )
