from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.device.log import PrivateLog
from recsys.contracts.events import Action, Event, Surface
from recsys.errors import ContractError
from tests.recsys.contracts.strategies import events

CLICK = Event("e1", "anna", "i1", Action.CLICK, Surface.FEED, 1_000)


def test_only_interest_counts_as_positive_and_the_latest_come_last():
    log = PrivateLog("anna", [CLICK, replace(CLICK, event_id="e2", item_id="i2", action=Action.IMPRESSION)])
    log.append(replace(CLICK, event_id="e3", item_id="i3", timestamp_ms=500))
    assert log.positives() == ["i3", "i1"]
    assert log.positives(1) == ["i1"]
    assert log.positives(0) == []


def test_an_event_is_taken_once():
    log = PrivateLog("anna", [CLICK])
    assert not log.append(CLICK)
    assert len(log) == 1


def test_an_event_of_somebody_else_is_refused():
    with pytest.raises(ContractError, match="an event of 'ben', got one of 'anna'"):
        PrivateLog("ben", [CLICK])


@given(st.lists(events(), max_size=6, unique_by=lambda event: event.event_id))
def test_a_log_survives_its_file(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    log = PrivateLog("anna", [replace(event, user_id="anna") for event in drawn])
    log.save(path)
    assert PrivateLog.load("anna", path).events == log.events
    assert [event.timestamp_ms for event in log.events] == sorted(event.timestamp_ms for event in drawn)
