"""Prepared examples of a world in which every item is followed by the next one of its circle."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.prepare.responses import RESPONSE_COLUMNS, count_responses
from pipelines.statistics.job import count_statistics
from pipelines.training.examples import read_catalogue, read_sequences
from pipelines.training.impressions import read_shown
from pipelines.training.lists import ListMaker
from pipelines.training.ranker_stage import RankerLists
from pipelines.training.requests import validation_requests
from pipelines.training.retrieval_stage import Encoder, build_retrieval
from recsys.config.cloud import RankerSettings, RetrievalSettings, StatisticsSettings
from recsys.contracts.bundle import ITEM_TO_ITEM_FILE, RESPONSES_FILE
from recsys.contracts.events import ACTION_CODES
from recsys.features.catalogue import VOCABULARY_SCHEMA
from recsys.features.item_to_item import ItemToItem
from recsys.features.responses import Period, Responses

NUM_ITEMS = 24
CIRCLE = 12
"""Items 1 to 12 follow each other on the feed, items 13 to 24 on the live surface."""


RETRIEVAL = RetrievalSettings(
    dim=8, history_length=6, num_blocks=1, dropout=0.0, id_dropout=0.0, batch_size=16, learning_rate=0.03, max_epochs=25
)
RANKER = RankerSettings(num_candidates=10, hidden_units=(8, 4), num_cross_layers=1, max_epochs=2)


def write_events(folder: Path, rows: list[tuple], name: str = "part-0.parquet") -> Path:
    """Writes rows of (user_id, item_index, action, surface, period), in their order of time."""
    (folder / "events").mkdir(parents=True, exist_ok=True)
    users, items, actions, surfaces, periods = zip(*rows, strict=True)
    table = pa.table(
        {
            "event_id": [f"{user}-{number}" for number, user in enumerate(users)],
            "user_id": pa.array(users),
            "item_index": pa.array(items, pa.int32()),
            "action": pa.array([ACTION_CODES[action] for action in actions], pa.int8()),
            "surface": pa.array(surfaces, pa.int8()),
            "value": pa.nulls(len(rows), pa.float32()),
            "timestamp_ms": pa.array(range(len(rows)), pa.int64()),
            "position": pa.nulls(len(rows), pa.int16()),
            "period": pa.array(periods, pa.int8()),
        }
    )
    pq.write_table(table, folder / "events" / name)
    return folder


def write_vocabulary(folder: Path, num_items: int = NUM_ITEMS, num_feed: int = CIRCLE) -> Path:
    """The first `num_feed` items are of the feed, the others live; each has one of two categories."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "item_id": [f"i{index:03d}" for index in range(1, num_items + 1)],
            "surface": pa.array([int(index > num_feed) for index in range(1, num_items + 1)], pa.int8()),
            "category_indexes": pa.array([[1 + index % 2] for index in range(num_items)], pa.list_(pa.int32())),
            "num_impressions": pa.array([0] * num_items, pa.int64()),
            "num_positives": pa.array([5] * num_items, pa.int64()),
            "num_recent": pa.array([1] * num_items, pa.int64()),
        }
    ).cast(VOCABULARY_SCHEMA)
    table = table.replace_schema_metadata({"num_categories": "2"})
    pq.write_table(table, folder / "vocabulary.parquet")
    return folder


def write_responses(folder: Path) -> Path:
    """Counts the responses of the events that were written."""
    table = pq.read_table(folder / "events", columns=RESPONSE_COLUMNS)
    pq.write_table(count_responses(table.filter(pc.field("item_index") > 0)), folder / RESPONSES_FILE)
    return folder


def write_circles(folder: Path) -> Path:
    """80 users who each walk seven steps along a circle; the last two belong to the validation period."""
    rng = np.random.default_rng(2)
    rows = []
    for number in range(80):
        base = CIRCLE * (number % 2)
        start = int(rng.integers(CIRCLE))
        for step in range(7):
            item = 1 + base + (start + step) % CIRCLE
            rows.append((f"u{number:03d}", item, "click", number % 2, int(step >= 5)))
    return write_responses(write_events(write_vocabulary(folder), rows))


def count_circles(examples: Path, folder: Path) -> Path:
    """Counts item-to-item statistics of prepared examples, and returns the file."""
    folder.mkdir(exist_ok=True)
    count_statistics(examples, folder, StatisticsSettings())
    return folder / ITEM_TO_ITEM_FILE


@pytest.fixture
def examples(tmp_path) -> Path:
    """The folder of `write_circles`."""
    return write_circles(tmp_path / "examples")


@pytest.fixture
def retrieval(examples):
    return build_retrieval(read_catalogue(examples), RETRIEVAL, seed=1)


@pytest.fixture
def maker(examples, retrieval, tmp_path):
    catalogue = read_catalogue(examples)
    return ListMaker(
        retrieval,
        Encoder(retrieval).embed(catalogue),
        catalogue,
        ItemToItem.from_table(pq.read_table(count_circles(examples, tmp_path / "statistics")), NUM_ITEMS),
        Responses.from_table(pq.read_table(examples / RESPONSES_FILE), catalogue, Period.TRAINED),
    )


def lists_of(maker, examples):
    """What retrieval proposes to everybody; nothing was shown."""
    sequences = read_sequences(examples)
    shown = maker.describe_shown(read_shown(examples, 60, 10, 100))
    return RankerLists(maker.propose(validation_requests(sequences), sequences, RANKER), shown, maker.vectors)
