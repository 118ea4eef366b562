"""What the ranker teaches is what it serves."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from recsys.cascade.cloud import CloudModel
from recsys.contracts.events import ACTION_CODES, POSITIVE_ACTIONS
from recsys.contracts.teacher import TEACHER_SCHEMA
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace

POSITIVE_CODES = [ACTION_CODES[action] for action in POSITIVE_ACTIONS]


def test_scores_are_those_of_the_published_bundle_for_the_same_requests(
    tiny_workspace: Workspace, trained: Bundle
) -> None:
    taught = pq.read_table(tiny_workspace.teacher(trained.manifest.version))
    assert taught.schema.equals(TEACHER_SCHEMA)
    assert taught.num_rows > 20
    cloud, events = CloudModel.load(trained), read_positives(tiny_workspace)
    for row in taught.to_pylist():
        history = history_before(events, row["user_id"], row["timestamp_ms"], row["chosen"])
        query = cloud.encode(history)
        candidates = np.array(row["candidates"], np.int32)
        scores = cloud.rank(query, history, candidates, cloud.vectors[candidates] @ query)
        np.testing.assert_allclose(scores, row["scores"], atol=1e-4)
        assert not np.isin(candidates, history).any()


def test_only_people_of_the_consented_log_are_spoken_of_and_no_bundle_does(
    tiny_workspace: Workspace, trained: Bundle
) -> None:
    taught = pq.read_table(tiny_workspace.teacher(trained.manifest.version))
    people = set(read_positives(tiny_workspace).column("user_id").to_pylist())
    assert set(taught.column("user_id").to_pylist()) <= people
    assert not [name for name in trained.manifest.files if "teacher" in name]


def read_positives(workspace: Workspace) -> pa.Table:
    """Positives of the prepared examples, by user and time; what follows itself stands once."""
    (folder,) = (path for path in workspace.examples.iterdir() if (path / "vocabulary.parquet").exists())
    table = ds.dataset(folder / "events", format="parquet").to_table()
    table = table.filter(pc.is_in(table.column("action"), pa.array(POSITIVE_CODES, pa.int8())))
    return table.sort_by([(name, "ascending") for name in ("user_id", "timestamp_ms", "event_id")])


def history_before(events: pa.Table, user_id: str, timestamp_ms: int, chosen: int) -> np.ndarray:
    own = events.filter(pc.equal(events.column("user_id"), user_id))
    items, times = (own.column(name).to_numpy() for name in ("item_index", "timestamp_ms"))
    new = np.r_[True, items[1:] != items[:-1]]
    items, times = items[new], times[new]
    (place, *_) = np.flatnonzero((times == timestamp_ms) & (items == chosen))
    return items[:place].astype(np.int32)
