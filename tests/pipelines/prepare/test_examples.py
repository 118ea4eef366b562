from __future__ import annotations

import pyarrow as pa
import pytest

from pipelines.prepare.examples import (
    EXAMPLE_SCHEMA,
    assign_periods,
    assign_periods_by_time,
    count_users,
    encode,
    limit_users,
    order_by_user,
)
from tests.pipelines.conftest import make_events


def of_users(*counts: int) -> pa.Table:
    """Ordered rows: so many of user 0, so many of user 1, …"""
    return make_events([{"user_id": str(user)} for user, count in enumerate(counts) for _ in range(count)])


def test_rows_are_ordered_by_user_then_time_then_event() -> None:
    events = make_events(
        [
            {"event_id": "b", "user_id": "v", "timestamp_ms": 1},
            {"event_id": "a", "user_id": "v", "timestamp_ms": 1},
            {"event_id": "c", "user_id": "v", "timestamp_ms": 0},
            {"event_id": "d", "user_id": "u", "timestamp_ms": 9},
        ]
    )
    assert order_by_user(events).column("event_id").to_pylist() == ["d", "c", "a", "b"]


@pytest.mark.parametrize(
    ("num_rows", "num_validation"),
    [(1, 0), (2, 0), (3, 1), (19, 1), (20, 2), (29, 2), (30, 3)],
)
def test_the_last_tenth_of_a_user_is_validation_and_one_row_at_least_from_three_up(
    num_rows: int, num_validation: int
) -> None:
    expected = [0] * (num_rows - num_validation) + [1] * num_validation
    assert assign_periods(of_users(num_rows), 0.1, 100).tolist() == expected


def test_each_user_is_divided_apart() -> None:
    assert assign_periods(of_users(2, 4, 1, 5), 0.4, 100).tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1]


def test_no_more_positives_are_held_out_than_the_limit_says() -> None:
    assert assign_periods(of_users(10, 3), 0.4, 2).tolist() == [0] * 8 + [1] * 2 + [0, 0, 1]
    assert assign_periods(of_users(10), 0.4, 4).tolist() == assign_periods(of_users(10), 0.4, 100).tolist()


def test_other_events_after_the_last_positive_that_stays_are_held_out_with_the_next() -> None:
    actions = ["click", "click", "impression", "click", "impression"]
    events = make_events([{"action": action} for action in actions])
    assert assign_periods(events, 0.49, 1).tolist() == [0, 0, 0, 1, 1]
    assert assign_periods(make_events([{"action": action} for action in actions * 2]), 0.49, 1).tolist() == (
        [0] * 7 + [1] * 3
    )


def test_a_user_with_too_many_events_keeps_the_latest() -> None:
    kept, others = limit_users(of_users(2, 5), 3)
    assert kept.column("event_id").to_pylist() == ["e0", "e1", "e4", "e5", "e6"]
    assert others.column("event_id").to_pylist() == ["e2", "e3"]


def test_users_are_counted_by_their_runs() -> None:
    assert count_users(of_users(2, 5, 1)) == 3
    assert count_users(of_users()) == 0


def test_an_example_holds_codes_in_place_of_words() -> None:
    events = make_events(
        [
            {"action": "impression", "position": 3, "timestamp_ms": 7},
            {"action": "rating", "value": 4.5, "surface": "live", "room_id": "r"},
        ]
    ).append_column("item_index", pa.array([1, 2], pa.int32()))
    table = encode(events, assign_periods(events, 0.1, 100))
    assert table.schema == EXAMPLE_SCHEMA
    assert table.to_pylist() == [
        {
            "event_id": "e0",
            "user_id": "u",
            "item_index": 1,
            "action": 0,
            "surface": 0,
            "value": None,
            "timestamp_ms": 7,
            "position": 3,
            "period": 0,
        },
        {
            "event_id": "e1",
            "user_id": "u",
            "item_index": 2,
            "action": 8,
            "surface": 1,
            "value": 4.5,
            "timestamp_ms": 0,
            "position": None,
            "period": 0,
        },
    ]


def test_everything_from_a_moment_on_is_validation_whoever_did_it() -> None:
    times_ms = (5, 1_000, 999, 1_001)
    events = make_events([{"user_id": str(time_ms % 2), "timestamp_ms": time_ms} for time_ms in times_ms])
    assert assign_periods_by_time(events, 1_000).tolist() == [0, 1, 0, 1]
