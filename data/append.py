"""Adds what happened since to a workspace: new events, and the items, rooms and people that they bring.

The whole log is divided anew by protocol E: as histories grow, more of each belongs to the cloud, and what the cloud or
a device knew it goes on knowing. New items stand behind the known ones, so that the numbers of items stay.

Everything is written beside its place and becomes valid at once, by one rename; what is left to move then is moved by
the next run, should this one be cut off.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.dataset import Dataset, raw_event_schema
from data.divided import DIVIDED_FOLDER, ShardWriter, count_shards, write_divided, write_parts
from data.generations import generations_of, mark_generations
from data.ingest import read_settings
from data.lawfulness import find_lawful
from data.registry import read_dataset
from data.split import Split, split_edge_cloud
from recsys.config.data import DataSettings
from recsys.contracts.arrays import BoolArray, Int8Array
from recsys.errors import DatasetError
from recsys.progress import Progress, Silent
from recsys.storage.atomic import explain_disk_errors, publish_folder
from recsys.storage.lock import hold_lock
from recsys.storage.workspace import APPEND_FOLDER, PARTIAL_APPEND_FOLDER, PARTS, TRAIN_LOCK, DatasetCard, Workspace

_DIGESTS: Final = "appended.json"
"""Which logs were appended, by their content: the same one again changes nothing."""


def append(
    workspace: Workspace, source: Path, write_shards: ShardWriter, progress: Progress | None = None
) -> DatasetCard:
    """Adds a log of one's own (see `data/event_schema.md`) to a workspace, and returns its new card.

    Events whose id is known are left out; an item or a person that is known stays as it is, a room is what was said of
    it last. The same log again changes nothing. A run that was cut off is taken up by the next. Trainings on the
    workspace wait, and are waited for.

    Args:
      workspace: Filled by `data.ingest.ingest`.
      source: Folder or file of the events.
      write_shards: Makes the devices' shards.
      progress: A listener.

    Raises:
      WorkspaceError: If nothing was ingested, it was divided by another protocol than E, or the disk is full.
      DatasetError: If the data is missing or broken.
    """
    listener = progress or Silent()
    with hold_lock(workspace.root / TRAIN_LOCK):
        _move_into_place(workspace)
        settings = read_settings(workspace)
        listener.stage(f"reading {source}")
        dataset = read_dataset("events", source, settings, 0)
        for note in dataset.notes:
            listener.note(note)
        digest = _digest(dataset)
        change = _Change.between(workspace, dataset, settings)
        if digest in _read_digests(workspace) or change.is_empty:
            listener.note(f"{workspace.root} already holds these events: nothing to do.")
            return workspace.read_card()
        listener.stage("dividing each history anew")
        change.write(workspace, digest, write_shards, listener)
        _move_into_place(workspace)
        return workspace.read_card()


@dataclass(frozen=True, eq=False)
class _Change:
    """A log, known and new events together, and what is new in the catalogue.

    Attributes:
      dataset: Events, known ones first; all items, rooms and users.
      split: Of these events.
      lawful: `[num_events]` bool.
      earlier: `[num_events]` int8, the part in which an event was; -1 where it is new.
      num_new_items: The last rows of the items.
    """

    dataset: Dataset
    split: Split
    lawful: BoolArray
    earlier: Int8Array
    num_new_items: int

    @classmethod
    def between(cls, workspace: Workspace, dataset: Dataset, settings: DataSettings) -> _Change:
        known = pa.concat_tables([pq.read_table(path) for path in sorted(workspace.devices.glob("*.parquet"))])
        known_ids = pa.concat_arrays(
            [known.column("event_id").combine_chunks(), _consented_ids(workspace).combine_chunks()]
        )
        fresh = dataset.events.filter(pc.invert(pc.is_in(dataset.events.column("event_id"), value_set=known_ids)))
        parts = pc.index_in(known.column("part"), value_set=pa.array(PARTS)).to_numpy().astype(np.int8)
        events = pa.concat_tables([known.select(raw_event_schema().names).cast(raw_event_schema()), fresh])
        lawful = np.concatenate([np.ones(known.num_rows, np.bool_), find_lawful(fresh)])
        earlier = np.concatenate([parts, np.full(fresh.num_rows, -1, np.int8)])
        items, num_new_items = _add_items(pq.read_table(workspace.items), dataset.items)
        whole = Dataset(
            name=dataset.name,
            events=events,
            items=items,
            rooms=_add_rows(dataset.rooms, pq.read_table(workspace.rooms), "room_id"),
            users=_add_rows(pq.read_table(workspace.users), dataset.users, "user_id"),
        )
        split = split_edge_cloud(events, settings.split, lawful, earlier)
        return cls(whole, split, lawful, earlier, num_new_items)

    @property
    def is_empty(self) -> bool:
        return not self.num_new_items and bool((self.earlier >= 0).all())

    def write(self, workspace: Workspace, digest: str, write_shards: ShardWriter, progress: Progress) -> None:
        """Writes all that changes beside the workspace's own, and makes it valid."""
        partial = Workspace(workspace.root / PARTIAL_APPEND_FOLDER)
        with explain_disk_errors(partial.root, 0):
            shutil.rmtree(partial.root, ignore_errors=True)
            for folder in (partial.devices, partial.items.parent):
                folder.mkdir(parents=True)
            consented = self.dataset.events.filter(pa.array(self._newly_consented))
            write_parts(consented, partial.events, 1 + _last_part(workspace.events))
            pq.write_table(self.dataset.items, partial.items)
            pq.write_table(self.dataset.rooms, partial.rooms)
            pq.write_table(self.dataset.users, partial.users)
            divided = partial.root / DIVIDED_FOLDER
            write_divided(divided, self.dataset, self.split, self.lawful)
            write_shards(divided, partial.devices, count_shards(self.dataset.users.num_rows), progress)
            shutil.rmtree(divided)
            text = json.dumps([*_read_digests(workspace), digest], indent=1) + "\n"
            (partial.root / _DIGESTS).write_text(text, encoding="utf-8")
            partial.write_card(self._describe(workspace.read_card()))
        publish_folder(partial.root, workspace.root / APPEND_FOLDER)

    @property
    def _newly_consented(self) -> BoolArray:
        return self.split.mask("consented") & (self.earlier != PARTS.index("consented"))

    def _describe(self, card: DatasetCard) -> DatasetCard:
        counts = np.bincount(self.split.codes, minlength=len(PARTS))
        return replace(
            card,
            num_users=self.dataset.users.num_rows,
            num_items=self.dataset.items.num_rows,
            num_events=card.num_events + int((self.earlier < 0).sum()),
            num_consented=card.num_consented + int(self._newly_consented.sum()),
            num_private=int(counts[1]),
            num_heldout=int(counts[2]),
            split=self.split.name,
            split_fingerprint=self.split.fingerprint,
        )


def _move_into_place(workspace: Workspace) -> None:
    """Moves what a finished write left, piece by piece; begun again after a kill it ends the same."""
    ready = Workspace(workspace.root / APPEND_FOLDER)
    if not ready.root.exists():
        return
    with explain_disk_errors(workspace.root, 0):
        for part in sorted(ready.events.glob("*.parquet")):
            part.replace(workspace.events / part.name)
        if ready.devices.exists():
            shutil.rmtree(workspace.devices, ignore_errors=True)
            ready.devices.rename(workspace.devices)
        for path in (workspace.items, workspace.rooms, workspace.users, workspace.root / _DIGESTS):
            _replace(ready.root / path.relative_to(workspace.root), path)
        workspace.truth.unlink(missing_ok=True)  # it knows neither the new people nor the new items
        _replace(ready.root / "dataset.json", workspace.root / "dataset.json")
        shutil.rmtree(ready.root)


def _replace(source: Path, target: Path) -> None:
    if source.exists():
        source.replace(target)


def _add_items(known: pa.Table, given: pa.Table) -> tuple[pa.Table, int]:
    """Returns the catalogue with the new items as a generation of their own, and how many they are."""
    new = _without(given, known, "item_id").sort_by("item_id")
    generations = [*generations_of(known), new.num_rows] if new.num_rows else generations_of(known)
    bare = known.replace_schema_metadata(None)
    return mark_generations(pa.concat_tables([bare, new.cast(bare.schema)]), generations), new.num_rows


def _add_rows(first: pa.Table, more: pa.Table, column: str) -> pa.Table:
    """Returns `first`, and the rows of `more` whose id it lacks, by their ids."""
    return pa.concat_tables([first, _without(more, first, column).cast(first.schema)]).sort_by(column)


def _without(table: pa.Table, known: pa.Table, column: str) -> pa.Table:
    ids = known.column(column).combine_chunks()
    return table.filter(pc.invert(pc.is_in(table.column(column), value_set=ids)))


def _consented_ids(workspace: Workspace) -> pa.ChunkedArray:
    """Ids of the consented log: rows that no device holds, being unlawful, are among them."""
    ids = pq.read_table(workspace.events, columns=["event_id"]).column("event_id")
    return ids.drop_null()


def _last_part(folder: Path) -> int:
    return max((int(path.stem.removeprefix("part-")) for path in folder.glob("part-*.parquet")), default=-1)


def _digest(dataset: Dataset) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, dataset.events.schema) as writer:
        writer.write_table(dataset.events.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _read_digests(workspace: Workspace) -> list[str]:
    path = workspace.root / _DIGESTS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise DatasetError(f"Expected a list of digests in {path}, got unreadable text: {error}.") from error
