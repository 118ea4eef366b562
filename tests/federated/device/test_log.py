import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.device.log import PrivateLog
from recsys.contracts.events import Action, Event, Surface
from recsys.errors import ContractError


def event(number, item="a", action=Action.CLICK, timestamp_ms=None, user="ada"):
    return Event(
        f"e{number}", user, item, action, Surface.FEED, 1_000 + number if timestamp_ms is None else timestamp_ms
    )


def test_positives_are_items_of_interest_oldest_first():
    log = PrivateLog("ada", [event(1, "a"), event(2, "b", Action.IMPRESSION), event(3, "c", Action.LIKE)])
    assert log.positives() == ["a", "c"]
    assert log.positives(1) == ["c"]
    assert log.positives(0) == []
    assert log.positives(9) == ["a", "c"]


def test_an_event_that_comes_late_takes_its_place_in_time():
    log = PrivateLog("ada", [event(1, "a", timestamp_ms=10), event(2, "b", timestamp_ms=30)])
    log.append(event(3, "c", timestamp_ms=20))
    assert log.positives() == ["a", "c", "b"]


def test_events_of_the_same_moment_stay_in_the_order_in_which_they_came():
    log = PrivateLog("ada", [event(2, "b", timestamp_ms=5), event(1, "a", timestamp_ms=5)])
    assert log.positives() == ["b", "a"]


def test_an_event_is_taken_once():
    log = PrivateLog("ada", [event(1, "a")])
    assert not log.append(event(1, "b"))
    assert log.append(event(2, "b"))
    assert (len(log), log.positives()) == (2, ["a", "b"])


def test_somebody_elses_event_is_refused():
    with pytest.raises(ContractError, match="Expected an event of 'ada', got one of 'bob'"):
        PrivateLog("ada").append(event(1, user="bob"))


EVENTS = st.builds(
    Event,
    event_id=st.text(min_size=1, max_size=8),
    user_id=st.just("ada"),
    item_id=st.text(min_size=1, max_size=8),
    action=st.sampled_from([Action.CLICK, Action.IMPRESSION, Action.LIKE]),
    surface=st.just(Surface.FEED),
    timestamp_ms=st.integers(0, 10**12),
    value=st.none() | st.floats(0, 1e6, width=32),
    position=st.none() | st.integers(0, 100),
)


@given(st.lists(EVENTS, max_size=12))
def test_a_log_that_is_read_holds_what_was_written(tmp_path_factory, events):
    log = PrivateLog("ada", events)
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    log.save(path)
    assert PrivateLog.load("ada", path).events == log.events


def test_the_file_is_readable_by_its_owner_alone(tmp_path):
    PrivateLog("ada", [event(1)]).save(tmp_path / "log.parquet")
    assert (tmp_path / "log.parquet").stat().st_mode & 0o077 == 0


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"private log of 'ada' in .*log.parquet, got"):
        PrivateLog.load("ada", tmp_path / "log.parquet")


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "log.parquet").write_bytes(b"hello")
    with pytest.raises(ContractError, match="private log of 'ada'"):
        PrivateLog.load("ada", tmp_path / "log.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "log.parquet")
    with pytest.raises(ContractError, match="column 'event_id'"):
        PrivateLog.load("ada", tmp_path / "log.parquet")


def test_a_file_with_an_unknown_action_is_refused(tmp_path):
    PrivateLog("ada", [event(1)]).save(tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    place = table.column_names.index("action")
    pq.write_table(table.set_column(place, "action", pa.array(["stare"])), tmp_path / "log.parquet")
    with pytest.raises(ContractError, match="'stare'"):
        PrivateLog.load("ada", tmp_path / "log.parquet")


def test_the_log_of_somebody_else_is_refused(tmp_path):
    PrivateLog("bob", [event(1, user="bob")]).save(tmp_path / "log.parquet")
    with pytest.raises(ContractError, match="got one of 'bob'"):
        PrivateLog.load("ada", tmp_path / "log.parquet")
