from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.lawfulness import find_lawful
from pipelines.prepare.source import mend_text
from pipelines.prepare.validation import REASONS, validate
from recsys.contracts.events import MAX_TIMESTAMP_MS, Action, Event, Surface
from recsys.errors import ContractError
from tests.pipelines.conftest import make_events

ITEMS = pa.array(["a", "b"])


def reasons_of(events: pa.Table) -> list[str]:
    return validate(mend_text(events), ITEMS)[1].column("reason").to_pylist()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"event_id": ""}, "event_id: expected 1 to 128 characters"),
        ({"event_id": None}, "event_id: expected 1 to 128 characters"),
        ({"user_id": "u" * 129}, "user_id: expected 1 to 128 characters"),
        ({"item_id": None}, "item_id: expected 1 to 128 characters"),
        ({"action": "stare"}, f"action: expected one of {', '.join(Action)}"),
        ({"action": None}, f"action: expected one of {', '.join(Action)}"),
        ({"surface": "FEED"}, "surface: expected one of feed, live"),
        ({"timestamp_ms": None}, "timestamp_ms: expected 0 to 4102444800000 (is the unit milliseconds?)"),
        ({"timestamp_ms": -1}, "timestamp_ms: expected 0 to 4102444800000 (is the unit milliseconds?)"),
        ({"timestamp_ms": MAX_TIMESTAMP_MS}, "timestamp_ms: expected 0 to 4102444800000 (is the unit milliseconds?)"),
        ({"action": "rating"}, "value: expected one with a rating and a gift"),
        ({"action": "gift"}, "value: expected one with a rating and a gift"),
        ({"value": -0.5}, "value: expected finite and not negative"),
        ({"value": math.nan}, "value: expected finite and not negative"),
        ({"value": math.inf}, "value: expected finite and not negative"),
        ({"position": -1}, "position: expected from 0 up"),
        ({"surface": "live"}, "room_id: expected one on the live surface and none on the feed"),
        ({"room_id": "r"}, "room_id: expected one on the live surface and none on the feed"),
        ({"item_id": "z"}, "unknown item: expected one of the catalogue"),
    ],
)
def test_a_malformed_row_is_set_aside_with_its_reason(row: dict[str, Any], reason: str) -> None:
    assert reasons_of(make_events([{}, row, {}])) == [reason]


def test_text_that_is_not_utf8_is_set_aside_and_the_rest_of_it_kept_readable() -> None:
    events = make_events([{"item_id": "b"}, {}])
    garbled = pa.array([b"b", b"a\xff"]).view(pa.string())
    events = events.set_column(2, "item_id", garbled)
    lawful, others = validate(mend_text(events), ITEMS)
    assert lawful.column("item_id").to_pylist() == ["b"]
    assert others.column("item_id").to_pylist() == ["a�"]
    assert others.column("reason").to_pylist() == ["text: expected UTF-8"]


def test_a_row_with_several_faults_is_given_the_first() -> None:
    assert reasons_of(make_events([{"user_id": "", "action": "stare", "position": -1}])) == [REASONS[2]]


def test_lawful_rows_keep_their_columns_and_get_the_item_index_of_the_sorted_catalogue() -> None:
    events = make_events([{"item_id": "b"}, {"item_id": "a", "action": "rating", "value": 4.0}])
    lawful, others = validate(mend_text(events), ITEMS)
    assert others.num_rows == 0
    assert lawful.column("item_index").to_pylist() == [2, 1]
    assert lawful.drop_columns(["item_index"]) == events


def test_an_empty_table_is_lawful_and_empty() -> None:
    lawful, others = validate(mend_text(make_events([])), ITEMS)
    assert (lawful.num_rows, others.num_rows) == (0, 0)


ids = st.none() | st.text(max_size=3) | st.sampled_from(["a", "b", "é" * 128, "é" * 129])
ROWS = st.fixed_dictionaries(
    {
        "event_id": ids,
        "user_id": ids,
        "item_id": ids,
        "action": st.sampled_from([*Action, "stare", "", None]),
        "surface": st.sampled_from([*Surface, "moon", None]),
        "value": st.none() | st.floats(width=32),
        "timestamp_ms": st.none()
        | st.integers(-(2**63), 2**63 - 1)
        | st.sampled_from([0, -1, MAX_TIMESTAMP_MS - 1, MAX_TIMESTAMP_MS]),
        "position": st.none() | st.integers(-(2**15), 2**15 - 1),
        "room_id": st.none() | st.sampled_from(["", "r"]),
    }
)
LIKELY = st.fixed_dictionaries(
    {
        "action": st.sampled_from(list(Action)),
        "surface": st.sampled_from(list(Surface)),
        "value": st.none() | st.floats(-1, 5, width=32),
        "position": st.none() | st.integers(-1, 3),
        "room_id": st.none() | st.just("r"),
    }
)


def is_event(row: dict[str, Any]) -> bool:
    """The verdict of the contract itself; a row without a time cannot even be compared with one."""
    if row["timestamp_ms"] is None or row["action"] not in set(Action) or row["surface"] not in set(Surface):
        return False
    try:
        Event(**{**row, "action": Action(row["action"]), "surface": Surface(row["surface"])})
    except ContractError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS | LIKELY, min_size=1, max_size=8))
def test_a_row_is_lawful_exactly_where_it_can_be_made_an_event_of_a_known_item(rows: list[dict[str, Any]]) -> None:
    events = make_events(rows)
    lawful, others = validate(mend_text(events), ITEMS)
    verdicts = np.array([is_event(row) for row in events.to_pylist()])
    known = np.array([row["item_id"] in ("a", "b") for row in events.to_pylist()])
    assert lawful.drop_columns(["item_index"]).to_pydict() == events.filter(pa.array(verdicts & known)).to_pydict()
    assert others.num_rows == (~(verdicts & known)).sum()
    assert others.column("reason").to_pylist().count(REASONS[-1]) == (verdicts & ~known).sum()
    assert find_lawful(events).tolist() == verdicts.tolist()
