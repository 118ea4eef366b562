from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from recsys.contracts.events import Action, Event, Surface
from recsys.errors import ContractError
from tests.recsys.contracts.strategies import events

CLICK = Event("e1", "u1", "i1", Action.CLICK, Surface.FEED, 1_000)


@given(events())
def test_a_lawful_event_can_be_made_and_is_frozen(event):
    with pytest.raises(AttributeError):
        event.user_id = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": ""}, "`event_id` to have 1 to 128 characters, got ''"),
        ({"user_id": "x" * 129}, "`user_id` to have 1 to 128 characters"),
        ({"item_id": None}, "`item_id` to have 1 to 128 characters, got None"),
        ({"action": "stare"}, "`action` out of .*, got 'stare'"),
        ({"surface": "radio"}, "`surface` out of .*, got 'radio'"),
        ({"timestamp_ms": -1}, "`timestamp_ms` between 0 and .*, got -1"),
        ({"timestamp_ms": 1_700_000_000_000_000}, "Is the unit milliseconds"),
        ({"value": float("nan")}, "`value` to be finite and not negative, got nan"),
        ({"value": -2.0}, "`value` to be finite and not negative, got -2.0"),
        ({"action": Action.RATING}, "a `value` with a rating, got none"),
        ({"action": Action.GIFT}, "a `value` with a gift, got none"),
        ({"position": -1}, "`position` from 0 up, got -1"),
        ({"room_id": "r1"}, "none on the feed, got 'r1' on feed"),
        ({"surface": Surface.LIVE}, "a `room_id` on the live surface .*, got None on live"),
    ],
)
def test_an_unlawful_event_is_refused_with_the_rule_and_the_value(change, message):
    with pytest.raises(ContractError, match=message):
        replace(CLICK, **change)
