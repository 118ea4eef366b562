from __future__ import annotations

import pytest

from recsys.contracts.catalogue import Item, Room
from recsys.contracts.events import Surface
from recsys.errors import ContractError


def test_a_room_is_open_from_its_start_up_to_but_not_at_its_end():
    room = Room("r", "streamer", start_ms=10, end_ms=20)
    assert [room.is_open(now) for now in (9, 10, 19, 20)] == [False, True, True, False]


def test_a_room_without_an_end_stays_open():
    assert Room("r", "streamer", start_ms=10).is_open(10**12)


def test_a_room_that_ends_before_it_starts_is_refused():
    with pytest.raises(ContractError, match="to end after its start 10, got `end_ms` 10"):
        Room("r", "streamer", start_ms=10, end_ms=10)


def test_repeated_categories_are_refused():
    with pytest.raises(ContractError, match="distinct `categories` for item 'i'"):
        Item("i", Surface.FEED, "title", ("a", "a"))
