"""What the server received, taken into the workspace: consented events into the log, and people out of everything.

Each step may be cut off and is done again by the next run to the same end: events are written before they are dropped
from the server's own log, and those that the log of the workspace knows already are not written again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.dataset import raw_event_schema
from data.forgetting import forget
from recsys.progress import Progress
from recsys.storage.atomic import write_file
from recsys.storage.event_log import LOG_FILE, EventLog
from recsys.storage.workspace import Workspace

_PREFIX: Final = "served-"
"""Files of the log that came by the server: names apart from those that an append numbers."""


@contextmanager
def settled(workspace: Workspace, progress: Progress) -> Iterator[None]:
    """Takes in what the server received before the block, and forgets at its end who asked for it meanwhile.

    The caller holds the workspace's `TRAIN_LOCK`.

    Raises:
      WorkspaceError: If a file cannot be read or written.
    """
    if not (workspace.state / LOG_FILE).exists():
        yield
        return
    log = EventLog(workspace.state / LOG_FILE, 1)
    try:
        forget_leaving(workspace, log)
        num_taken = _take_events(workspace, log)
        if num_taken:
            progress.note(f"{num_taken} events that the server received were added to the log")
        try:
            yield
        finally:
            forget_leaving(workspace, log)
    finally:
        log.close()


def forget_leaving(workspace: Workspace, log: EventLog) -> None:
    """Removes everybody who asked to be forgotten; the caller holds the workspace's `TRAIN_LOCK`.

    Raises:
      WorkspaceError: If a file cannot be read or written; the next call goes on.
    """
    for user_id in log.leaving():
        forget(workspace, user_id)
        log.end_forgetting(user_id)


def _take_events(workspace: Workspace, log: EventLog) -> int:
    """Moves the waiting events into the consented log and returns how many were new there."""
    last, events = log.waiting()
    if not events:
        return 0
    table = pa.Table.from_pylist([asdict(event) for event in events], schema=raw_event_schema())
    paths = sorted(workspace.events.glob("*.parquet"))
    columns = [pq.ParquetFile(path).read(columns=["event_id"]).column("event_id").cast(pa.string()) for path in paths]
    known = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    fresh = table.filter(pc.invert(pc.is_in(table.column("event_id"), value_set=known.combine_chunks())))
    if fresh.num_rows:
        number = 1 + max((int(path.stem.removeprefix(_PREFIX)) for path in paths if _is_served(path.name)), default=-1)
        sink = io.BytesIO()
        pq.write_table(fresh, sink)
        write_file(workspace.events / f"{_PREFIX}{number:04d}.parquet", sink.getvalue())
    _recount(workspace)
    log.take(last)
    return fresh.num_rows


def _is_served(name: str) -> bool:
    return name.startswith(_PREFIX)


def _recount(workspace: Workspace) -> None:
    """Lets the card count the rows of the log as they are; counting again changes nothing."""
    card = workspace.read_card()
    num_rows = sum(pq.ParquetFile(path).metadata.num_rows for path in workspace.events.glob("*.parquet"))
    more = num_rows - card.num_consented
    workspace.write_card(replace(card, num_events=card.num_events + more, num_consented=num_rows))
