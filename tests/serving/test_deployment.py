from __future__ import annotations

import threading
import time

import pytest

from recsys.contracts import bundle as names
from recsys.storage.registry import BundleRegistry
from serving.deployment import Deployment
from serving.engine import Listed
from serving.observation import Metrics, Stopwatch
from serving.problems import NotReadyError
from serving.workers import Workers
from tests.bundles import publish_variant
from tests.serving.conftest import metric, problem_of, start
from tests.serving.test_engine import publish_with

WISH = {"surface": "feed", "count": 3, "history": ["i001"]}
POLL_S = 0.02


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not come about in time."
        time.sleep(0.01)


@pytest.fixture
def deployment(own_workspace):
    workers = Workers(2, 0)
    yield Deployment(own_workspace, workers, Metrics(lambda: 0.0))
    workers.close()


def test_nothing_is_served_before_the_first_look(deployment):
    with pytest.raises(NotReadyError, match="Expected a loaded bundle, got none yet"):
        _ = deployment.engine


def test_a_bundle_is_loaded_once_and_exchanged_when_another_is_published(deployment, own_workspace):
    assert deployment.refresh()
    first = deployment.engine
    assert not deployment.refresh()
    assert deployment.engine is first
    variant = publish_variant(own_workspace)
    assert deployment.refresh()
    assert deployment.engine.manifest.version == variant.manifest.version


def test_the_pointer_can_be_turned_back(deployment, own_workspace):
    old = BundleRegistry(own_workspace).current().manifest.version
    publish_variant(own_workspace)
    assert deployment.refresh()
    own_workspace.current.write_text(f"{old}\n")
    assert deployment.refresh()
    assert deployment.engine.manifest.version == old


def test_an_altered_bundle_is_refused_and_the_one_before_goes_on(deployment, own_workspace):
    deployment.refresh()
    served = deployment.engine
    variant = publish_variant(own_workspace)
    path = variant.path(names.INDEX_FILE)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert not deployment.refresh()
    assert deployment.engine is served
    assert names.INDEX_FILE in deployment.reason
    assert "publish the bundle again" in deployment.reason


def test_a_refused_bundle_gives_way_to_the_next_one_at_once(deployment, own_workspace):
    deployment.refresh()
    variant = publish_variant(own_workspace, seed=1)
    path = variant.path(names.INDEX_FILE)
    sound = path.read_bytes()
    path.write_bytes(b"nothing")
    assert not deployment.refresh()
    path.write_bytes(sound)
    assert not deployment.refresh(), "a refused bundle is left alone for a while"
    own_workspace.current.write_text(variant.manifest.version)
    assert deployment.refresh(), "another pointer is followed at once"
    assert deployment.reason == ""


def test_a_bundle_whose_towers_do_not_fit_each_other_is_refused_when_it_is_warmed(deployment, own_workspace, bundle):
    """Signed and whole, but the item tower's file where the query tower should be."""
    item_tower = bundle.read_bytes(names.ITEM_TOWER_FILE)
    publish_with(own_workspace, {names.QUERY_TOWER_FILE: item_tower})
    assert not deployment.refresh()
    assert "Expected the signature 'encode'" in deployment.reason


def test_a_pointer_that_is_no_version_is_refused(deployment, own_workspace):
    own_workspace.current.write_text("../../etc")
    assert not deployment.refresh()
    assert "Expected a bundle version" in deployment.reason


def test_an_altered_bundle_is_not_ready_with_the_reason(own_workspace):
    current = BundleRegistry(own_workspace).current()
    path = current.path(names.DEVICE_TOWER_FILE)
    path.write_bytes(path.read_bytes().replace(b"TFL3", b"TFL4", 1))
    with start(own_workspace, poll_s=POLL_S) as client:
        assert client.get("/healthz").status_code == 200
        problem = problem_of(client.get("/readyz"), 503)
        assert f"{names.DEVICE_TOWER_FILE} with" in problem["detail"]
        assert "The file was altered" in problem["detail"]
        assert metric(client, 'tandem_bundle_loads_total{outcome="refused"}') == 1.0
        problem_of(client.post("/v1/recommend", json=WISH), 503)
        mend(own_workspace, path)
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/recommend", json=WISH).status_code == 200


def mend(workspace, path):
    """Puts the byte back and touches the pointer, as publishing again would."""
    path.write_bytes(path.read_bytes().replace(b"TFL4", b"TFL3", 1))
    workspace.current.write_text(workspace.current.read_text().strip())


def test_bundles_are_exchanged_under_fire_without_a_failed_request(own_workspace):
    with start(own_workspace, poll_s=POLL_S) as client:
        answers, ended = [], threading.Event()

        def fire():
            while not ended.is_set():
                for path, body in (
                    ("/v1/recommend", WISH),
                    ("/v1/rerank", {"history": ["i002"], "candidates": [{"item_id": "i001", "score": 1.0}]}),
                ):
                    answers.append(client.post(path, json=body))
                answers.append(client.get("/v1/embeddings/snapshot"))

        threads = [threading.Thread(target=fire) for _ in range(4)]
        for thread in threads:
            thread.start()
        versions = [client.get("/readyz").json()["bundle_version"]]
        for seed in (1, 2, 3):
            version = publish_variant(own_workspace, seed=seed).manifest.version
            wait_until(lambda version=version: client.get("/readyz").json()["bundle_version"] == version)
            versions.append(version)
        ended.set()
        for thread in threads:
            thread.join(10)
        assert {answer.status_code for answer in answers} == {200}
        seen = {answer.json()["bundle_version"] for answer in answers if "json" in answer.headers["content-type"]}
        assert seen == set(versions)
        assert metric(client, 'tandem_bundle_loads_total{outcome="served"}') == 4.0
        labels = client.get("/metrics").text.count("tandem_bundle_info{")
        assert labels == 1, "only the served bundle is named"


def test_a_request_ends_with_the_bundle_it_began_with(deployment, own_workspace):
    deployment.refresh()
    engine = deployment.engine
    given = Listed(["i001"], ["i001", "i002"], [1.0, 0.0])
    before = engine.rerank(given, Stopwatch())
    publish_variant(own_workspace)
    deployment.refresh()
    assert engine.rerank(given, Stopwatch()) == before
    assert deployment.engine is not engine
