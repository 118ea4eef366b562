"""Several server processes over one workspace, each with an inbox of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import SESSIONS_FILE
from serving.histories import ConsentedHistories
from serving.inbox import Inbox


@pytest.fixture
def inboxes(own_workspace):
    settings = ServingSettings()
    histories = [
        ConsentedHistories(own_workspace.state / SESSIONS_FILE, settings.session_length, settings.session_ttl_s)
        for _ in range(3)
    ]
    made = [Inbox(own_workspace, own, settings.max_waiting_events) for own in histories]
    yield made
    for one in [*made, *histories]:
        one.close()


def test_processes_that_forget_at_once_take_each_other_for_no_training(inboxes):
    people = [f"u{number:02d}" for number in range(12)]
    with ThreadPoolExecutor(len(inboxes)) as pool:
        done = list(pool.map(lambda pair: pair[0].forget(pair[1]), zip(inboxes * 4, people, strict=True)))
    assert done == [True] * 12
    assert all(one.settle() for one in inboxes)
