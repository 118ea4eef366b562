import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.lawfulness import find_lawful
from recsys.contracts.events import Action, Event, Surface
from recsys.errors import ContractError
from tests.data.conftest import make_events

IDS = st.sampled_from(["a", "", "x" * 128, "x" * 129, "ü", None])
ROWS = st.fixed_dictionaries(
    {
        "event_id": IDS,
        "user_id": IDS,
        "item_id": IDS,
        "action": st.sampled_from([*(action.value for action in Action), "CLICK", None]),
        "surface": st.sampled_from(["feed", "live", "tv", None]),
        "value": st.sampled_from([None, 0.0, 4.5, -1.0, math.nan, math.inf]),
        "timestamp_ms": st.sampled_from([None, -1, 0, 1_700_000_000_000, 4_102_444_800_000, 1_700_000_000_000_000]),
        "position": st.sampled_from([None, -1, 0, 3]),
        "room_id": st.sampled_from([None, "r"]),
    }
)


def _can_be_an_event(row):
    try:
        Event(**row | {"action": Action(row["action"]), "surface": Surface(row["surface"])})
    except (ContractError, ValueError, TypeError):
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8))
def test_a_row_is_lawful_exactly_if_it_can_be_made_an_event(rows):
    assert find_lawful(make_events(rows)).tolist() == [_can_be_an_event(row) for row in rows]


@pytest.mark.parametrize(
    ("change", "lawful"),
    [
        ({}, True),
        ({"action": "rating"}, False),
        ({"action": "rating", "value": 4.0}, True),
        ({"surface": "live"}, False),
        ({"surface": "live", "room_id": "r"}, True),
        ({"room_id": "r"}, False),
    ],
)
def test_value_and_room_are_asked_for_where_they_belong(change, lawful):
    assert find_lawful(make_events([change])).tolist() == [lawful]
