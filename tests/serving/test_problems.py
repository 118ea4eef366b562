from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from recsys.config.serving import ServingSettings
from recsys.errors import OverloadError, VersionMismatchError
from serving.app import create_app
from serving.problems import NotReadyError, kind_of
from tests.serving.conftest import problem_of, start

JSON = {"Content-Type": "application/json"}


def test_an_unknown_path_is_a_problem(client):
    problem = problem_of(client.get("/v2/recommend"), 404)
    assert problem == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Expected a path of this service, got one that is none. /openapi.json lists them.",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", "/v1/recommend", "POST"), ("POST", "/v1/bundle", "GET")]
)
def test_a_method_that_a_path_lacks_is_a_problem_that_names_the_right_one(client, method, path, allowed):
    response = client.request(method, path)
    assert problem_of(response, 405)["detail"] == f"Expected {allowed} on this path, got {method}."
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("body", ["{", "", "nothing", '{"surface": }', "[" * 100_000, '{"count": ' + "9" * 5_000 + "}"])
def test_a_body_that_is_no_json_is_a_problem(client, body):
    response = client.post("/v1/recommend", content=body, headers=JSON)
    if body:
        assert problem_of(response, 400)["type"] == "urn:tandem:problem:json"
        assert "Expected a JSON body, got one that cannot be read" in response.json()["detail"]
    else:
        assert "Expected a JSON object" in problem_of(response, 422)["detail"]


def test_json_under_another_content_type_is_refused_with_the_cure(client):
    response = client.post("/v1/recommend", content='{"surface": "feed"}', headers={"Content-Type": "text/plain"})
    assert "`Content-Type: application/json`" in problem_of(response, 422)["detail"]


def test_each_refused_place_is_pointed_at(client):
    body = {"surface": "moon", "count": "many", "history": ["ok", ""], "a/b": 1}
    problem = problem_of(client.post("/v1/recommend", json=body), 422)
    assert {fault["pointer"] for fault in problem["errors"]} == {"#/surface", "#/count", "#/history/1", "#/a~1b"}
    assert {"detail": "Unknown key; remove it or correct its spelling.", "pointer": "#/a~1b"} in problem["errors"]
    assert problem["detail"] == "#/surface: Input should be 'feed' or 'live' (3 more in `errors`.)"


def test_what_was_refused_is_not_sent_back(client):
    body = {"surface": "feed", "count": 1, "user_id": "someone-private" * 20}
    response = client.post("/v1/recommend", json=body)
    problem_of(response, 422)
    assert "someone-private" not in response.text


def test_many_faults_are_told_of_but_not_all_listed(client):
    candidates = [{"item_id": "", "score": 0.0}] * 400
    problem = problem_of(client.post("/v1/rerank", json={"history": [], "candidates": candidates}), 422)
    assert len(problem["errors"]) == 20
    assert "(399 more in `errors`.)" in problem["detail"]


def test_a_bug_tells_the_client_nothing_but_where_to_look(bundled_workspace):
    app = create_app(bundled_workspace, ServingSettings())

    @app.get("/bug")
    async def fail() -> None:
        raise RuntimeError("the secret of u01")

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/bug")
        problem = problem_of(response, 500)
    assert "secret" not in response.text
    assert problem["type"] == "about:blank"
    assert "the fault is not yours" in problem["detail"]
    assert len(problem["request_id"]) == 16


def test_a_broken_session_store_is_the_servers_fault_and_tells_no_paths(own_workspace, caplog):
    for file in own_workspace.state.iterdir():
        file.unlink()
    (own_workspace.state / "sessions.sqlite").write_bytes(b"no database at all" * 100)
    with start(own_workspace) as client:
        response = client.post("/v1/recommend", json={"surface": "feed", "count": 1, "user_id": "u01"})
        problem = problem_of(response, 500)
        assert str(own_workspace.root) not in response.text
        assert client.post("/v1/recommend", json={"surface": "feed", "count": 1, "history": []}).status_code == 200
    failures = [record for record in caplog.records if record.message == "request failed"]
    assert [record.fields["request_id"] for record in failures] == [problem["request_id"]]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (VersionMismatchError("x"), "version-mismatch"),
        (OverloadError("x"), "overload"),
        (NotReadyError("x"), "not-ready"),
    ],
)
def test_kinds_are_the_names_of_errors(error, kind):
    assert kind_of(error) == kind
