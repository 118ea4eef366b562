"""The client against the service in a process of its own, and against what is no service at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from recsys.contracts.events import Action, Surface
from recsys.storage.workspace import Workspace
from serving.client import (
    AccessError,
    BusyError,
    Client,
    DeadlineMissedError,
    FaultyServerError,
    RefusedError,
    UnreachableError,
)
from serving.wire.feed import CandidateGiven, RecommendRequest, RerankRequest, RetrieveRequest
from serving.wire.people import EventGiven, EventsRequest
from tests.scripted_server import Scripted
from tests.serving.test_deployment import wait_until
from tests.serving.test_server import REPOSITORY, Running, running

WISH = RecommendRequest(surface=Surface.FEED, count=5, history=["i001"])
READY = b'{"status":"ready","bundle_version":"0001-abc","embedding_version":"0123"}'


@pytest.fixture(scope="module")
def served(bundled_workspace, tmp_path_factory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("client") / "workspace"  # a copy: events are written to it
    shutil.copytree(bundled_workspace.root, root)
    with running(Workspace(root)) as server:
        yield server


@pytest.fixture
def client(served) -> Iterator[Client]:
    with Client(served.url, max_retries=0) as made:
        yield made


@pytest.fixture
def limited(bundled_workspace, tmp_path) -> Iterator[Running]:
    """A service that lets a key ask once, and then once a second: `often`; or once in 100 seconds: `seldom`."""
    tables = []
    for key, rate in (("often", 1), ("seldom", 0.01)):
        digest = hashlib.sha256(key.encode()).hexdigest()
        tables.append(f'[{key}]\nsha256 = "{digest}"\nscope = "device"\nrequests_per_s = {rate}\n')
    (tmp_path / "keys.toml").write_text("".join(tables))
    with running(bundled_workspace, keys_file=str(tmp_path / "keys.toml")) as server:
        yield server


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_every_endpoint_gives_its_type(client):
    bundle = client.bundle().manifest
    assert client.ready().bundle_version == bundle.version
    proposed = client.recommend(WISH, within_s=10.0)
    assert len(proposed.candidates) == 5
    found = client.retrieve(RetrieveRequest(surface=Surface.FEED, count=4, query_vector=[0.1] * bundle.dim))
    assert len(found.candidates) == 4
    given = [CandidateGiven(item_id=one.item_id, score=one.score) for one in proposed.candidates]
    reranked = client.rerank(RerankRequest(history=["i001"], candidates=given, explain=True))
    assert {one.item_id for one in reranked.candidates} == {one.item_id for one in proposed.candidates}
    assert all(one.reason is not None for one in reranked.candidates)


@pytest.mark.parametrize("user_id", ["a/../b c?", "..", "%2e", "ä#"])
def test_events_count_once_and_a_person_is_forgotten_whatever_the_name(client, user_id):
    event = EventGiven(
        event_id="client-1",
        user_id=user_id,
        item_id="i001",
        action=Action.CLICK,
        surface=Surface.FEED,
        timestamp_ms=1_700_000_000_000,
    )
    events = EventsRequest(consent=True, events=[event])
    assert client.send_events(events).accepted == 1
    assert client.send_events(events).duplicates == 1
    wait_until(lambda: client.forget(user_id).status == "forgotten")  # or the server's own clearing is under way


def test_what_is_wrong_with_a_request_is_told_with_its_places(client):
    with pytest.raises(RefusedError, match="Expected a finite query vector of length 16, got") as caught:
        client.recommend(RecommendRequest(surface=Surface.FEED, count=1, query_vector=[0.5]))
    assert (caught.value.status, caught.value.kind) == (422, "contract")
    with pytest.raises(RefusedError) as caught:
        client.recommend(RecommendRequest.model_construct(surface=Surface.FEED, count=0, history=[]))
    assert [fault.pointer for fault in caught.value.faults] == ["#/count"]


def test_a_time_that_is_over_is_told_and_nothing_is_sent(client):
    with pytest.raises(DeadlineMissedError, match="Expected an answer within the time given, got none"):
        client.recommend(WISH, within_s=0.0)


def test_a_time_that_is_too_short_is_told():
    server = Scripted(http(READY), first_after_s=0.5)
    with (
        Client(f"http://127.0.0.1:{server.port}", max_retries=0) as client,
        pytest.raises(DeadlineMissedError, match="Expected an answer within the time given, got none"),
    ):
        client.ready(within_s=0.05)
    server.close()


def test_a_time_that_the_service_cannot_keep_is_told_in_its_words():
    problem = {"type": "urn:tandem:problem:deadline", "title": "Gateway Timeout", "status": 504, "detail": "Too late."}
    server = Scripted(http(json.dumps(problem).encode(), "504 Gateway Timeout"))
    with (
        Client(f"http://127.0.0.1:{server.port}", max_retries=0) as client,
        pytest.raises(DeadlineMissedError, match=r"Too late\."),
    ):
        client.ready(within_s=5.0)
    server.close()


def test_without_a_key_the_door_is_shut(limited):
    with Client(limited.url, key="other") as client, pytest.raises(AccessError, match="Expected an API key") as caught:
        client.bundle()
    assert (caught.value.status, caught.value.kind) == (401, "unauthenticated")


def test_who_comes_too_often_waits_as_long_as_he_is_told(limited):
    with Client(limited.url, key="often") as client:
        begun = time.monotonic()
        assert client.bundle() == client.bundle()
        assert time.monotonic() - begun >= 1.0


def test_who_has_no_time_to_wait_is_told_at_once(limited):
    with Client(limited.url, key="seldom") as client:
        client.bundle()
        with pytest.raises(BusyError, match=r"Expected at most 0\.01 requests a second") as caught:
            client.bundle(within_s=50.0)
    assert (caught.value.status, caught.value.kind, caught.value.retry_after_s) == (429, "rate-limit", 100.0)


def test_a_server_that_hangs_up_is_asked_again():
    server = Scripted(b"", b"", http(READY))
    with Client(f"http://127.0.0.1:{server.port}", pause_s=0.01) as client:
        assert client.ready().bundle_version == "0001-abc"
    server.close()


def test_what_never_answers_is_told_after_the_last_attempt():
    server = Scripted(b"", http(READY))
    server.close()
    with (
        Client(f"http://127.0.0.1:{server.port}", max_retries=1, pause_s=0.01) as client,
        pytest.raises(UnreachableError, match=r"Expected an answer from http://127\.0\.0\.1.*Is it running\?"),
    ):
        client.ready()


def test_an_attempt_that_takes_too_long_is_given_up():
    server = Scripted(http(READY), first_after_s=0.5)
    with (
        Client(f"http://127.0.0.1:{server.port}", timeout_s=0.05, max_retries=0) as client,
        pytest.raises(UnreachableError, match=r"Expected an answer within 0\.05 s, got none"),
    ):
        client.ready()
    server.close()


@pytest.mark.parametrize("answer", [http(b"<html>"), http(b"{}"), http(b"<html>", "502 Bad Gateway")])
def test_an_answer_of_somebody_else_is_told(answer):
    server = Scripted(answer)
    with (
        Client(f"http://127.0.0.1:{server.port}") as client,
        pytest.raises(FaultyServerError, match="Expected an answer of Tandem's service at /readyz, got status"),
    ):
        client.ready()
    server.close()


def test_a_fault_of_the_service_bears_the_request_id():
    problem = {"type": "about:blank", "title": "x", "status": 500, "detail": "The service failed.", "request_id": "a1"}
    server = Scripted(http(json.dumps(problem).encode(), "500 Internal Server Error"))
    with (
        Client(f"http://127.0.0.1:{server.port}") as client,
        pytest.raises(FaultyServerError, match=r"The service failed\.") as caught,
    ):
        client.ready()
    assert (caught.value.request_id, caught.value.kind) == ("a1", "")
    server.close()


def test_the_client_loads_no_server():
    code = "import sys, serving.client; print([n for n in ('fastapi', 'starlette', 'faiss') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
