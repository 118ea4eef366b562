from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.cascade.rooms import RoomSchedule
from recsys.contracts.catalogue import Room
from recsys.contracts.schema import arrow_schema
from recsys.errors import ContractError
from tests.recsys.features.test_catalogue import build_catalogue

ROOMS = st.lists(
    st.builds(
        lambda number, item_id, start, length: Room(f"r{number}", item_id, start, start + length if length else None),
        st.integers(0, 99),
        st.sampled_from(["a", "b", "s", "stranger"]),
        st.integers(0, 50),
        st.integers(0, 20),
    ),
    max_size=12,
    unique_by=lambda room: room.room_id,
)


def build_schedule(rooms: list[Room]) -> RoomSchedule:
    table = pa.Table.from_pylist([vars(room) for room in rooms], schema=arrow_schema("room"))
    return RoomSchedule.from_table(table, build_catalogue())


@given(ROOMS, st.integers(0, 80))
def test_a_streamer_is_open_exactly_while_one_of_their_rooms_is(rooms, now_ms):
    catalogue = build_catalogue()
    opened = build_schedule(rooms).open_rooms(now_ms)
    expected = {room.item_id for room in rooms if room.is_open(now_ms)} - {"stranger"}
    assert {catalogue.item_ids[index - 1] for index in opened} == expected


@given(ROOMS, st.integers(0, 80))
def test_the_room_that_is_named_is_open_and_belongs_to_the_streamer(rooms, now_ms):
    by_id = {room.room_id: room for room in rooms}
    for index, room_id in build_schedule(rooms).open_rooms(now_ms).items():
        assert by_id[room_id].is_open(now_ms)
        assert by_id[room_id].item_id == build_catalogue().item_ids[index - 1]


def test_the_open_mask_has_a_place_for_padding():
    schedule = build_schedule([Room("r", "s", 10, 20)])
    assert schedule.open_items(15, num_items=3).tolist() == [False, False, False, True]
    assert schedule.open_items(20, num_items=3).tolist() == [False] * 4


def test_a_table_without_starts_is_refused():
    with pytest.raises(ContractError, match="the column 'start_ms' in room data"):
        RoomSchedule.from_table(pa.table({"room_id": ["r"], "item_id": ["s"]}), build_catalogue())
