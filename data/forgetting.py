"""Removes a person from every file of a workspace that speaks of people.

The log, the devices' shards, the list of people, the truth of a synthetic world, the teacher's opinions and the store
of sessions lose their rows; stages in which the person occurs (prepared examples, the teacher) are removed whole, for
the next training makes them anew, and so is what killed writers left half written. A bundle names no person: items,
vectors, weights and counts over many. What those learned of the person goes with the next training, which no longer
sees them.
"""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.truth import Truth
from recsys.errors import WorkspaceError
from recsys.storage.atomic import explain_disk_errors, remove_partials, write_file
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.workspace import (
    APPEND_FOLDER,
    INGEST_FOLDER,
    PARTIAL_APPEND_FOLDER,
    PARTIAL_INGEST_FOLDER,
    PARTIAL_STAGE_SUFFIX,
    PARTS,
    SESSIONS_FILE,
    Workspace,
)

_PER_USER: Final = ("long_term", "interests", "session_starts_ms")
"""Arrays of a truth with a row per person."""


def forget(workspace: Workspace, user_id: str) -> None:
    """Removes a person; the caller holds the workspace's `TRAIN_LOCK`. Somebody unknown changes nothing.

    Raises:
      WorkspaceError: If a file cannot be read or written; called again it goes on where it was.
    """
    _forget_sessions(workspace, user_id)
    _remove_remains(workspace)
    for stages in (workspace.examples, workspace.models):
        _remove_stages(stages, user_id)
    for path in sorted(workspace.root.glob("teacher/*.parquet")):
        _rewrite(path, user_id)
    whole = Workspace(workspace.root / APPEND_FOLDER)
    removed: Counter[str] = Counter()
    for place in (whole, workspace):
        removed = Counter()
        for path in sorted([*place.events.glob("*.parquet"), *place.devices.glob("*.parquet")]):
            removed += _rewrite(path, user_id)
        if place.users.exists():
            removed["users"] = _rewrite(place.users, user_id).total()
    _forget_truth(workspace.truth, user_id)
    if removed.total() and not whole.root.exists():  # else the card is replaced by the append's
        _discount(workspace, removed)


def _forget_sessions(workspace: Workspace, user_id: str) -> None:
    path = workspace.state / SESSIONS_FILE
    if path.exists():
        store = SQLiteSessionStore(path, 1)
        try:
            store.forget(user_id)
        finally:
            store.close()


def _remove_remains(workspace: Workspace) -> None:
    """Removes what killed writers left half written; with the lock held, nobody is writing these files."""
    for cut_off in (PARTIAL_APPEND_FOLDER, PARTIAL_INGEST_FOLDER, INGEST_FOLDER):  # begun anew by the next run
        shutil.rmtree(workspace.root / cut_off, ignore_errors=True)
    for stages in (workspace.examples, workspace.models):
        for stage in stages.glob(f"*{PARTIAL_STAGE_SUFFIX}"):
            shutil.rmtree(stage, ignore_errors=True)
    for folder in (workspace.events, workspace.devices, workspace.users.parent, workspace.root / "teacher"):
        remove_partials(folder / "*")
    remove_partials(workspace.truth)


def _remove_stages(stages: Path, user_id: str) -> None:
    """Removes each stage in which the person occurs."""
    if not stages.is_dir():
        return
    for stage in sorted(path for path in stages.iterdir() if path.is_dir()):
        if any(_occurs(table, user_id) for path in stage.rglob("*.parquet") for table in _read(path)):
            with explain_disk_errors(stage, 0):
                shutil.rmtree(stage)


def _rewrite(path: Path, user_id: str) -> Counter[str]:
    """Removes the person's rows from a file and returns how many, by their part (`consented` where none is said)."""
    (table,) = _read(path)
    is_of = _rows_of(table, user_id)
    gone = table.filter(is_of)
    if gone.num_rows:
        sink = io.BytesIO()
        pq.write_table(table.filter(pc.invert(is_of)), sink)
        write_file(path, sink.getvalue())
    parts = gone.column("part").to_pylist() if "part" in gone.column_names else ["log"] * gone.num_rows
    return Counter(parts)


def _read(path: Path) -> Iterator[pa.Table]:
    """Yields the one table of a file."""
    try:
        yield pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise WorkspaceError(
            f"Expected a whole Parquet file at {path}, to remove a person from it, got: {error}. Remove the file, or "
            "ingest the dataset again; then the person is forgotten by the next training."
        ) from error


def _rows_of(table: pa.Table, user_id: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(table.column("user_id"), user_id), False)


def _occurs(table: pa.Table, user_id: str) -> bool:
    return "user_id" in table.column_names and bool(pc.any(_rows_of(table, user_id)).as_py())


def _forget_truth(path: Path, user_id: str) -> None:
    if not path.exists():
        return
    truth = Truth.load(path)
    if user_id not in truth.user_ids:
        return
    keep = np.array([known != user_id for known in truth.user_ids])
    changes = {name: getattr(truth, name)[keep] for name in _PER_USER}
    rest = replace(truth, user_ids=tuple(known for known in truth.user_ids if known != user_id), **changes)
    sink = io.BytesIO()
    rest.save(sink)
    write_file(path, sink.getvalue())


def _discount(workspace: Workspace, removed: Counter[str]) -> None:
    """Lets the card count without the removed rows."""
    card = workspace.read_card()
    private, heldout = removed[PARTS[1]], removed[PARTS[2]]
    workspace.write_card(
        replace(
            card,
            num_users=card.num_users - removed["users"],
            num_events=card.num_events - removed["log"] - private - heldout,
            num_consented=card.num_consented - removed["log"],
            num_private=card.num_private - private,
            num_heldout=card.num_heldout - heldout,
        )
    )
