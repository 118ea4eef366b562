"""The log of received events on its own: what is kept once, how much may wait, who is forgotten."""

import pytest

from recsys.contracts.events import Action, Event, Surface
from recsys.errors import ContractError, OverloadError, WorkspaceError
from recsys.storage.event_log import EventLog


def event(number, user_id="u1"):
    return Event(f"e{number}", user_id, f"i{number}", Action.LIKE, Surface.FEED, 1_000 + number)


def ids(events):
    return [one.event_id for one in events]


@pytest.fixture
def log(tmp_path):
    made = EventLog(tmp_path / "state" / "events.sqlite", max_events=3)
    yield made
    made.close()


def test_an_event_is_kept_once_and_in_the_order_it_came(log):
    assert ids(log.append([event(2), event(1)])) == ["e2", "e1"]
    assert ids(log.append([event(1), event(3)])) == ["e3"]
    last, waiting = log.waiting()
    assert waiting == [event(2), event(1), event(3)]
    assert last > 0


def test_what_was_taken_stays_known_and_what_came_since_waits(log):
    log.append([event(1)])
    last, _ = log.waiting()
    log.append([event(2)])
    log.take(last)
    assert ids(log.waiting()[1]) == ["e2"]
    assert log.append([event(1)]) == []


def test_more_than_may_wait_are_refused_whole_and_those_before_are_kept(log):
    log.append([event(1), event(2)])
    with pytest.raises(OverloadError, match=r"at most 3 events to wait for a training, got 4\. Run `tandem train`"):
        log.append([event(3), event(4)])
    assert ids(log.waiting()[1]) == ["e1", "e2"]
    assert ids(log.append([event(3)])) == ["e3"]
    assert log.append([event(3)]) == [], "what is known already is no more"
    with pytest.raises(OverloadError):
        log.append([event(4)])


def test_a_training_makes_room(log):
    log.append([event(number) for number in range(3)])
    log.take(log.waiting()[0])
    assert ids(log.append([event(number) for number in range(3, 6)])) == ["e3", "e4", "e5"]


def test_events_of_somebody_who_was_forgotten_leave_room(log):
    log.append([event(1), event(2, "u2"), event(3)])
    log.begin_forgetting("u2")
    assert ids(log.append([event(4)])) == ["e4"], "three wait, though their numbers span four"
    assert log.leaving() == ["u2"]
    log.end_forgetting("u2")
    assert log.leaving() == []
    with pytest.raises(OverloadError):
        log.append([event(5)])


def test_a_log_that_may_hold_nothing_is_refused(tmp_path):
    with pytest.raises(ContractError, match="`max_events` from 1 up, got 0"):
        EventLog(tmp_path / "events.sqlite", max_events=0)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "events.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(WorkspaceError, match=r"Expected to open the event log .*, got: file is not a database"):
        EventLog(tmp_path / "events.sqlite", max_events=3)
