from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.generations import mark_generations
from pipelines.prepare.catalogue import build_vocabulary, read_items
from recsys.contracts.schema import arrow_schema
from recsys.errors import DatasetError, WorkspaceError
from recsys.features.catalogue import VOCABULARY_SCHEMA, Catalogue
from tests.pipelines.conftest import make_items


def write(table: pa.Table, folder: Path) -> Path:
    pq.write_table(table, folder / "items.parquet")
    return folder / "items.parquet"


def test_items_are_read_in_the_order_of_their_ids(tmp_path: Path) -> None:
    items = read_items(write(make_items({"b": [], "a": ["x"], "é": [], "B": []}), tmp_path))
    assert items.column("item_id").to_pylist() == ["B", "a", "b", "é"]


def test_the_vocabulary_holds_every_item_with_categories_numbered_by_sorted_name(tmp_path: Path) -> None:
    items = read_items(write(make_items({"b": ["zoo", "art"], "a": ["war"], "c": []}), tmp_path))
    counts = np.array([[0, 5, 6, 0], [0, 1, 2, 0], [0, 1, 0, 0]])
    table = build_vocabulary(items, counts)
    assert table.schema.equals(VOCABULARY_SCHEMA)
    assert table.to_pylist() == [
        {"item_id": "a", "surface": 0, "category_indexes": [2]}
        | {"num_impressions": 5, "num_positives": 1, "num_recent": 1},
        {"item_id": "b", "surface": 0, "category_indexes": [3, 1]}
        | {"num_impressions": 6, "num_positives": 2, "num_recent": 0},
        {"item_id": "c", "surface": 0, "category_indexes": []}
        | {"num_impressions": 0, "num_positives": 0, "num_recent": 0},
    ]
    catalogue = Catalogue.from_vocabulary(table)
    assert catalogue.num_categories == 3
    assert catalogue.positives.tolist() == [0, 1, 2, 0]


def test_items_and_categories_of_later_generations_are_numbered_behind_those_before(tmp_path: Path) -> None:
    first = make_items({"b": ["zoo"], "c": ["art"]})
    later = make_items({"d": ["bee"], "a": ["zoo", "ant"]})
    items = read_items(write(mark_generations(pa.concat_tables([first, later]), [2, 2]), tmp_path))
    table = build_vocabulary(items, np.zeros((3, 5), np.int64))
    assert table.column("item_id").to_pylist() == ["b", "c", "a", "d"]
    assert table.column("category_indexes").to_pylist() == [[2], [1], [2, 3], [4]]
    before = build_vocabulary(read_items(write(first, tmp_path)), np.zeros((3, 3), np.int64))
    assert table.slice(0, 2).to_pylist() == before.to_pylist()


def test_generations_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    broken = make_items({"a": []}).replace_schema_metadata({b"generations": b"[1, 1]"})
    with pytest.raises(DatasetError, match="Expected generations that add up to 1 items"):
        read_items(write(broken, tmp_path))


def test_an_item_whose_categories_are_null_has_none(tmp_path: Path) -> None:
    items = make_items({"a": ["x"], "b": []})
    items = items.set_column(3, pa.field("categories", pa.list_(pa.string())), pa.array([["x"], None]))
    table = build_vocabulary(read_items(write(items, tmp_path)), np.zeros((3, 3), np.int64))
    assert table.column("category_indexes").to_pylist() == [[1], []]


def test_a_catalogue_without_any_category_has_none_to_number(tmp_path: Path) -> None:
    table = build_vocabulary(read_items(write(make_items({"a": []}), tmp_path)), np.zeros((3, 2), np.int64))
    assert table.schema.metadata == {b"num_categories": b"0"}


def test_an_absent_catalogue_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(
        WorkspaceError, match=r"Expected the catalogue at .*items.parquet, got none. Run `tandem ingest`"
    ):
        read_items(tmp_path / "items.parquet")


def test_a_broken_catalogue_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"Expected a Parquet file of items at .*items.parquet"):
        read_items(path)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (arrow_schema("item").empty_table(), "Expected items in .*, got none"),
        (make_items({"": []}), "Expected item ids of 1 to 128 characters"),
        (pa.concat_tables([make_items({"b": []}), make_items({"a": [], "b": []})]), "once in .*, got 'b' again"),
        (
            make_items({"a": []}).set_column(1, "surface", pa.array(["moon"])),
            r"Expected surfaces out of \['feed', 'live'\]",
        ),
    ],
)
def test_an_unlawful_catalogue_is_refused(tmp_path: Path, items: pa.Table, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_items(write(items, tmp_path))
