"""Fills a workspace with a dataset: the consented log for the cloud, shards for the devices, the catalogue.

Everything is written beside its place and moved there at the end; `dataset.json` comes last, so that a workspace holds
a whole dataset or none.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.dataset import Dataset
from data.identity import hash_ids
from data.lawfulness import find_lawful
from data.registry import read_dataset
from data.split import Split, split_edge_cloud
from recsys.config.data import DataSettings
from recsys.contracts.arrays import BoolArray
from recsys.errors import DatasetError, WorkspaceError
from recsys.progress import Progress, Silent
from recsys.storage.workspace import DatasetCard, Workspace

USERS_PER_SHARD = 512
"""People whose devices share a file, about."""

_ROWS_PER_FILE = 262_144
_PARTIAL = "ingest.partial"
_REQUEST = "ingest.json"
"""What was asked for; its presence means that the data folders were written here and may be replaced."""

_PIECES = ("events", "devices", "catalogue", "truth.npz")


def ingest(
    workspace: Workspace,
    name: str,
    settings: DataSettings,
    seed: int,
    source: Path | None = None,
    progress: Progress | None = None,
) -> DatasetCard:
    """Reads a dataset, divides it by protocol E and writes it into the workspace.

    The same request on the same workspace again returns at once; a run that was cut off is begun anew.

    Args:
      workspace: Where to write.
      name: A key of `data.registry.DATASETS`.
      settings: Size of the synthetic world and shares of the split.
      seed: Of the synthetic world.
      source: Folder, archive or file of the data; None looks in `TANDEM_DATA`, then in the download cache.
      progress: A listener.

    Raises:
      DatasetError: If the data is missing or broken, or cannot be written (a full disk).
      WorkspaceError: If the workspace holds another dataset, or folders that are not Tandem's.
      ConfigError: If the shares of the split leave nothing to test on.
    """
    listener = progress or Silent()
    request = _describe_request(name, settings, seed, source)
    if (workspace.root / "dataset.json").exists():
        return _reuse(workspace, request, listener)
    _check_ownership(workspace)
    listener.stage(f"reading {name}")
    dataset = read_dataset(name, source, settings, seed)
    for note in dataset.notes:
        listener.note(note)
    listener.stage("dividing each history into consented log, private log and test")
    lawful = find_lawful(dataset.events)
    split = split_edge_cloud(dataset.events, settings.split, lawful)
    return _store(workspace, dataset, split, lawful, _describe(dataset, split, seed), request, listener)


def ingest_divided(
    workspace: Workspace, dataset: Dataset, split: Split, progress: Progress | None = None
) -> DatasetCard:
    """Writes a dataset that is read and divided already, such as by a protocol that measures the cloud alone.

    Args:
      workspace: Where to write; the same dataset under the same division again returns at once.
      dataset: Real data.
      split: By the parts of a workspace (see `Split.consent`).
      progress: A listener.

    Raises:
      DatasetError: If it cannot be written (a full disk).
      WorkspaceError: If the workspace holds another dataset, or folders that are not Tandem's.
    """
    listener = progress or Silent()
    asked = {"name": dataset.name, "split": split.name, "split_fingerprint": split.fingerprint}
    request = _Request(json.dumps(asked, indent=1, sort_keys=True) + "\n", f"{dataset.name} under {split.name}")
    if (workspace.root / "dataset.json").exists():
        return _reuse(workspace, request, listener)
    _check_ownership(workspace)
    lawful = find_lawful(dataset.events)
    return _store(workspace, dataset, split, lawful, _describe(dataset, split, 0), request, listener)


@dataclass(frozen=True)
class _Request:
    """What was asked for, as JSON."""

    text: str
    title: str


def _store(
    workspace: Workspace,
    dataset: Dataset,
    split: Split,
    lawful: BoolArray,
    card: DatasetCard,
    request: _Request,
    listener: Progress,
) -> DatasetCard:
    """Writes beside, moves into place, and vouches for it with the card, which it returns.

    Raises:
      DatasetError: If the disk is full or the folder not writable; nothing half-written is left then.
    """
    try:
        _write(workspace, dataset, split, lawful, listener)
        _install(workspace, request)
        workspace.write_card(card)
        return card
    except OSError as error:
        shutil.rmtree(workspace.root / _PARTIAL, ignore_errors=True)
        raise DatasetError(
            f"Expected to write {dataset.name} into {workspace.root}, got: {error.strerror or error}. "
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


def _write(workspace: Workspace, dataset: Dataset, split: Split, lawful: BoolArray, progress: Progress) -> None:
    """Writes all pieces under the partial folder."""
    partial = Workspace(workspace.root / _PARTIAL)
    if partial.root.exists():
        shutil.rmtree(partial.root)
    for folder in (partial.events, partial.devices, partial.items.parent):
        folder.mkdir(parents=True)
    write_log(dataset.events.filter(pa.array(split.mask("consented"))), partial.events)
    for table, path in (
        (dataset.items, partial.items),
        (dataset.rooms, partial.rooms),
        (dataset.users, partial.users),
    ):
        pq.write_table(table, path)
    if dataset.truth is not None:
        dataset.truth.save(partial.truth)
    write_shards(partial.devices, dataset, split, lawful, progress)


def write_log(events: pa.Table, folder: Path, first_part: int = 0) -> None:
    """Writes the consented log as `part-<number>.parquet`, numbered from `first_part`."""
    for number, start in enumerate(range(0, max(events.num_rows, 1), _ROWS_PER_FILE), start=first_part):
        pq.write_table(events.slice(start, _ROWS_PER_FILE), folder / f"part-{number:04d}.parquet")


def write_shards(folder: Path, dataset: Dataset, split: Split, lawful: BoolArray, progress: Progress) -> None:
    """Writes what the devices hold: lawful events, each once, by person and time."""
    events = dataset.events.append_column("part", split.parts)
    rows = np.flatnonzero(lawful)
    ids = events.column("event_id").take(pa.array(rows)).to_pandas()
    events = events.take(pa.array(rows[~ids.duplicated().to_numpy()]))
    users = events.column("user_id").combine_chunks().dictionary_encode()
    num_shards = max(1, -(-dataset.users.num_rows // USERS_PER_SHARD))
    shard_of_user = (hash_ids(users.dictionary.to_pylist(), "device-shard") % num_shards).astype(np.int64)
    shards = shard_of_user[users.indices.to_numpy()]
    progress.stage("writing the devices' shards", num_shards)
    for shard in range(num_shards):
        chosen = events.filter(pa.array(shards == shard))
        order = pc.sort_indices(chosen, [(name, "ascending") for name in ("user_id", "timestamp_ms", "event_id")])
        pq.write_table(chosen.take(order), folder / f"shard-{shard:04d}.parquet")
        progress.advance(shard + 1)


def _install(workspace: Workspace, request: _Request) -> None:
    """Moves the pieces to their places; the mark comes first, so that a cut-off move can be begun anew."""
    (workspace.root / _REQUEST).write_text(request.text, encoding="utf-8")
    partial = workspace.root / _PARTIAL
    for piece in _PIECES:
        target = workspace.root / piece
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        if (partial / piece).exists():
            (partial / piece).rename(target)
    partial.rmdir()


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
