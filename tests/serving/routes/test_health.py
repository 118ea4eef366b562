from __future__ import annotations

from tests.serving.conftest import metric, problem_of, start


def test_the_process_is_up(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "up"})


def test_it_is_ready_once_a_bundle_answers(client, bundle):
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "bundle_version": bundle.manifest.version,
        "embedding_version": bundle.manifest.embedding_version,
    }


def test_without_a_bundle_it_is_up_and_not_ready_and_says_what_to_do(tmp_path, own_workspace):
    own_workspace.current.unlink()
    with start(own_workspace) as client:
        assert client.get("/healthz").status_code == 200
        problem = problem_of(client.get("/readyz"), 503)
        assert problem["type"] == "urn:tandem:problem:not-ready"
        assert "Expected a published bundle" in problem["detail"]
        assert "Run `tandem train" in problem["detail"]
        assert client.get("/openapi.json").status_code == 200


def test_without_a_bundle_every_other_answer_is_a_503_that_tells_no_paths(own_workspace):
    own_workspace.current.unlink()
    wish = {"surface": "feed", "count": 1, "history": []}
    with start(own_workspace) as client:
        for response in (
            client.post("/v1/recommend", json=wish),
            client.post("/v1/rerank", json={"history": [], "candidates": []}),
            client.get("/v1/embeddings/snapshot"),
            client.get("/v1/embeddings/delta", params={"base": "0" * 16}),
            client.get("/v1/bundle"),
            client.get("/v1/bundle/files/device_tower.tflite"),
        ):
            problem = problem_of(response, 503)
            assert response.headers["retry-after"] == "1"
            assert "/readyz tells why" in problem["detail"]
            assert str(own_workspace.root) not in response.text


def test_metrics_count_requests_by_route_method_and_status(own_workspace):
    with start(own_workspace) as client:
        client.get("/healthz")
        client.get("/healthz")
        client.get("/v1/bundle/files/secret-name")
        client.get("/secret-path")
        client.request("BREW", "/secret-path")
        route = 'route="/v1/bundle/files/{name}",status="404"'
        assert metric(client, 'tandem_requests_total{method="GET",route="/healthz",status="200"}') == 2.0
        assert metric(client, f'tandem_requests_total{{method="GET",{route}}}') == 1.0
        assert metric(client, 'tandem_requests_total{method="GET",route="unmatched",status="404"}') == 1.0
        assert metric(client, 'tandem_requests_total{method="other",route="unmatched",status="404"}') == 1.0
        assert metric(client, 'tandem_request_seconds_count{route="/healthz"}') == 2.0
        assert "secret" not in client.get("/metrics").text


def test_metrics_name_the_served_bundle(client, bundle):
    labels = f'embedding_version="{bundle.manifest.embedding_version}",version="{bundle.manifest.version}"'
    assert metric(client, f"tandem_bundle_info{{{labels}}}") == 1.0
    assert metric(client, 'tandem_bundle_loads_total{outcome="served"}') == 1.0
    assert metric(client, 'tandem_bundle_loads_total{outcome="refused"}') == 0.0
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")
