from __future__ import annotations

from dataclasses import asdict, fields

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.contracts.catalogue import Item, Room
from recsys.contracts.events import Action, Event, Surface
from recsys.contracts.schema import TABLES, arrow_schema, conform
from recsys.errors import ContractError
from tests.recsys.contracts.strategies import events


@pytest.mark.parametrize(("table", "kind"), [("event", Event), ("item", Item), ("room", Room)])
def test_the_table_of_fields_and_the_type_name_the_same_columns(table, kind):
    assert {field.name for field in TABLES[table]} == {field.name for field in fields(kind)}


@given(st.lists(events(), max_size=5))
def test_events_survive_a_trip_through_arrow(originals):
    table = pa.Table.from_pylist([asdict(event) for event in originals], schema=arrow_schema("event"))
    rows = conform(table, "event").to_pylist()
    read = [Event(**row | {"action": Action(row["action"]), "surface": Surface(row["surface"])}) for row in rows]
    assert read == originals


def test_columns_are_put_in_order_and_absent_nullable_ones_become_null():
    table = pa.table({"start_ms": [5], "item_id": ["i"], "room_id": ["r"], "extra": [1]})
    assert conform(table, "room").to_pylist() == [{"room_id": "r", "item_id": "i", "start_ms": 5, "end_ms": None}]


def test_a_missing_required_column_is_named():
    with pytest.raises(ContractError, match="the column 'item_id' in room data"):
        conform(pa.table({"room_id": ["r"], "start_ms": [5]}), "room")


def test_a_column_of_another_type_is_named():
    with pytest.raises(ContractError, match="int64 in column 'start_ms' of room data, got string"):
        conform(pa.table({"room_id": ["r"], "item_id": ["i"], "start_ms": ["noon"]}), "room")


def test_an_unknown_table_is_refused():
    with pytest.raises(ContractError, match=r"a table out of .*, got 'planet'"):
        arrow_schema("planet")
