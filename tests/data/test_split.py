from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.split import global_time, hold_out, leave_one_out, split_edge_cloud
from recsys.config.data import SplitSettings
from recsys.contracts.events import POSITIVE_ACTIONS
from recsys.errors import ConfigError
from tests.data.conftest import make_events

ACTIONS = ("click", "like", "impression", "dislike", "nonsense", None)


def _history(num_positives, user="u"):
    return [{"event_id": f"{user}{k:02d}", "user_id": user, "timestamp_ms": k * 10} for k in range(num_positives)]


def _parts(split):
    return split.parts.to_pylist()


def _is_positive(action):
    return action in {action.value for action in POSITIVE_ACTIONS}


@st.composite
def logs(draw):
    size = draw(st.integers(1, 60))
    rows = [
        {
            "event_id": f"e{number}",
            "user_id": draw(st.sampled_from(["u", "v", "w", None])),
            "timestamp_ms": draw(st.one_of(st.none(), st.integers(0, 20))),
            "action": draw(st.sampled_from(ACTIONS)),
        }
        for number in range(size)
    ]
    return make_events(rows)


def test_ten_positives_become_seven_two_and_one():
    split = split_edge_cloud(make_events(_history(10)), SplitSettings())
    assert _parts(split) == ["consented"] * 7 + ["private"] * 2 + ["heldout"]
    assert split.name == "E 0.7/0.2/0.1 of positives by time, from 10 positives"


def test_a_person_with_nine_positives_is_consented_altogether():
    late_impression = {"event_id": "late", "action": "impression", "timestamp_ms": 10_000}
    split = split_edge_cloud(make_events([*_history(9), late_impression]), SplitSettings())
    assert set(_parts(split)) == {"consented"}


def test_other_events_go_to_the_part_of_their_time():
    # The last consented positive lies at 60, the last private one at 80.
    others = [
        {"event_id": f"i{time}", "action": "impression", "timestamp_ms": time} for time in (0, 60, 61, 80, 81, 500)
    ]
    split = split_edge_cloud(make_events([*_history(10), *others]), SplitSettings())
    assert _parts(split)[10:] == ["consented", "consented", "private", "private", "heldout", "heldout"]


def test_ties_in_time_are_broken_by_event_id():
    rows = [{"event_id": f"e{k}", "timestamp_ms": 5} for k in reversed(range(10))]
    split = split_edge_cloud(make_events(rows), SplitSettings())
    assert _parts(split) == ["heldout", "private", "private"] + ["consented"] * 7


def test_rows_without_person_or_time_and_unlawful_rows_are_left_to_the_consented_log():
    nobody = {"event_id": "x", "user_id": None, "timestamp_ms": 999}
    timeless = {"event_id": "y", "timestamp_ms": None}
    unlawful = {"event_id": "z", "timestamp_ms": 998}
    events = make_events([*_history(10), nobody, timeless, unlawful])
    lawful = np.array([True] * 12 + [False])
    assert _parts(split_edge_cloud(events, SplitSettings(), lawful))[10:] == ["consented"] * 3


def test_a_copy_of_an_event_lies_where_the_event_lies_and_does_not_count():
    copies = [{"event_id": "u09", "timestamp_ms": 95}, {"event_id": "u00", "timestamp_ms": 1_000}]
    split = split_edge_cloud(make_events([*_history(10), *copies]), SplitSettings())
    assert _parts(split) == ["consented"] * 7 + ["private"] * 2 + ["heldout"] + ["heldout", "consented"]


def test_shares_that_leave_no_test_are_refused():
    settings_without_test = SplitSettings(consented_fraction=0.7, private_fraction=0.3)
    with pytest.raises(ConfigError, match=r"less than 1, so that something is left to test on, got 0\.7 \+ 0\.3"):
        split_edge_cloud(make_events(_history(10)), settings_without_test)


def test_an_empty_log_divides_into_nothing():
    assert len(split_edge_cloud(make_events([]), SplitSettings()).codes) == 0


@settings(max_examples=150, deadline=None)
@given(logs(), st.integers(3, 6))
def test_every_row_has_one_part_and_nothing_later_precedes_a_consented_positive(events, least):
    split = split_edge_cloud(events, SplitSettings(min_positives=least))
    assert sum(split.mask(part).sum() for part in split.part_names) == events.num_rows
    rows = [row | {"part": part} for row, part in zip(events.to_pylist(), _parts(split), strict=True)]
    rows = [row for row in rows if row["user_id"] is not None and row["timestamp_ms"] is not None]
    order = {"consented": 0, "private": 1, "heldout": 2}
    for early in rows:
        for late in rows:
            if early["user_id"] == late["user_id"] and _is_positive(early["action"]):
                assert not (order[early["part"]] < order[late["part"]] and late["timestamp_ms"] < early["timestamp_ms"])


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_no_fingerprint_depends_on_the_order_of_the_rows(events, random):
    order = list(range(events.num_rows))
    random.shuffle(order)
    shuffled = events.take(pa.array(order))
    for divide in (lambda log: split_edge_cloud(log, SplitSettings(min_positives=3)), leave_one_out, global_time):
        before, after = divide(events), divide(shuffled)
        assert before.fingerprint == after.fingerprint
        assert (before.codes[order] == after.codes).all()


def test_the_fingerprint_tells_divisions_apart():
    events = make_events(_history(20))
    first = split_edge_cloud(events, SplitSettings()).fingerprint
    second = split_edge_cloud(events, SplitSettings(consented_fraction=0.6)).fingerprint
    assert first != second
    assert len(first) == 16


def test_the_fingerprint_is_the_hash_of_sorted_lines():
    # printf 'u00 train\nu01 validation\nu02 test' | sha256sum
    assert leave_one_out(make_events(_history(3))).fingerprint == "3369eec6ccf29be2"


def test_leave_one_out_holds_out_the_last_and_the_one_before():
    rows = [*_history(4), *_history(2, user="v"), {"event_id": "i", "action": "impression", "timestamp_ms": 15}]
    split = leave_one_out(make_events(rows))
    assert _parts(split) == ["train", "train", "validation", "test", "train", "train", "validation"]


def test_given_rows_are_held_out_and_the_last_other_positive_is_validation():
    late_impression = {"event_id": "i", "action": "impression", "timestamp_ms": 99}
    rows = [*_history(4), *_history(2, user="v"), late_impression]
    chosen = np.array([False, False, True, False, False, False, False])
    split = hold_out(make_events(rows), chosen, "given")
    assert _parts(split) == ["train", "train", "test", "validation", "train", "train", "train"]
    assert split.name == "given"
    shuffled = hold_out(make_events(rows[::-1]), chosen[::-1], "given")
    assert shuffled.fingerprint == split.fingerprint


def test_a_person_whose_only_event_is_held_out_has_no_validation():
    split = hold_out(make_events([*_history(1), *_history(1, user="v")]), np.array([False, True]), "given")
    assert _parts(split) == ["train", "test"]


def test_all_but_the_test_is_consented_in_a_workspace():
    split = leave_one_out(make_events(_history(4)))
    assert _parts(split.consent()) == ["consented", "consented", "consented", "heldout"]
    assert split.consent().fingerprint == split.fingerprint
    with pytest.raises(ConfigError, match="into train, validation, test, got consented, private, heldout"):
        split.consent().consent()


def test_global_time_divides_at_two_moments_for_everybody():
    rows = [{"event_id": f"e{k}", "user_id": "u" if k % 2 else "v", "timestamp_ms": 9 - k} for k in range(10)]
    split = global_time(make_events(rows))
    assert _parts(split) == ["test", "validation"] + ["train"] * 8
    assert Counter(_parts(global_time(make_events(rows), 0.5, 0.3))) == {"train": 5, "validation": 3, "test": 2}


def test_global_time_without_a_test_part_is_refused():
    with pytest.raises(ConfigError, match=r"leave a test part, got 0\.9 and 0\.1"):
        global_time(make_events(_history(3)), 0.9, 0.1)
