from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.cold.hiding import draw_hidden, mark_hidden, write_without
from recsys.contracts.events import SURFACE_CODES
from recsys.features.catalogue import Catalogue
from tests.pipelines.conftest import make_events
from tests.pipelines.training.conftest import write_vocabulary

ITEMS = pa.table({"item_id": [f"i{number:02d}" for number in range(30)], "surface": ["feed"] * 20 + ["live"] * 10})


def test_the_share_is_hidden_on_each_surface():
    hidden = draw_hidden(ITEMS, 0.2, seed=1)
    assert len(set(hidden)) == 6
    assert sum(item_id >= "i20" for item_id in hidden) == 2


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_items():
    hidden = draw_hidden(ITEMS, 0.2, seed=1)
    assert draw_hidden(ITEMS.take(list(range(29, -1, -1))), 0.2, seed=1) == hidden
    assert draw_hidden(ITEMS, 0.2, seed=2) != hidden


def test_the_log_keeps_all_events_but_those_of_hidden_items(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "copy").mkdir()
    events = make_events([{"item_id": "a"}, {"item_id": "b"}, {"item_id": "a"}, {"item_id": None}])
    pq.write_table(events, tmp_path / "log" / "part-0.parquet")
    assert write_without(tmp_path / "log", ["a"], tmp_path / "copy") == 2
    kept = pq.read_table(tmp_path / "copy" / "part-0.parquet")
    assert kept.column("item_id").to_pylist() == ["b", None]
    assert kept.schema.equals(events.schema)


def test_hidden_items_are_marked_by_index_and_padding_never_is(tmp_path):
    table = pq.read_table(write_vocabulary(tmp_path, num_items=4, num_feed=3) / "vocabulary.parquet")
    catalogue = Catalogue.from_vocabulary(table)
    assert mark_hidden(catalogue, ["i002", "unknown"]).tolist() == [False, False, True, False, False]
    assert catalogue.surfaces[1] == SURFACE_CODES["feed"]
