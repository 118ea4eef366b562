from __future__ import annotations

import copy
import re

import pytest

import serving.wire.feed
import serving.wire.operation
import serving.wire.people
from tests.bundles import publish_variant
from tests.serving.conftest import start
from tests.serving.test_deployment import POLL_S, wait_until

SHAPES = {**vars(serving.wire.feed), **vars(serving.wire.operation), **vars(serving.wire.people)}

ROUTES = {
    ("delete", "/v1/users/{user_id}"),
    ("get", "/healthz"),
    ("get", "/metrics"),
    ("get", "/readyz"),
    ("get", "/v1/bundle"),
    ("get", "/v1/bundle/files/{name}"),
    ("get", "/v1/embeddings/delta"),
    ("get", "/v1/embeddings/snapshot"),
    ("post", "/v1/events"),
    ("post", "/v1/recommend"),
    ("post", "/v1/rerank"),
    ("post", "/v1/retrieve"),
}


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def fill(path, operation):
    """Returns the path with the examples of its parameters, the query, and the headers."""
    query, headers = {}, {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        elif parameter["in"] == "header":
            headers[parameter["name"]] = str(parameter["example"])
        else:
            query[parameter["name"]] = parameter["example"]
    return path, query, headers


def test_every_route_is_documented(document):
    assert {(method, path) for method, path, _ in operations(document)} == ROUTES


def test_every_example_body_works_when_pasted(client, document):
    posted = 0
    for method, path, operation in operations(document):
        if method == "post":
            for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items():
                _, _, headers = fill(path, operation)
                response = client.post(path, json=example["value"], headers=headers)
                assert response.status_code == 200, (path, name, response.text)
                assert response.json().get("candidates", [""]), (path, name)
                posted += 1
    assert posted == 8


def test_every_example_parameter_works_when_pasted(client, document):
    for method, path, operation in operations(document):
        if method != "post":
            filled, query, headers = fill(path, operation)
            assert client.request(method, filled, params=query, headers=headers).status_code in (200, 204), path


def test_the_shown_answers_are_what_the_service_answers(client, document):
    client.delete("/v1/users/a-newcomer")  # who may have sent the event of the example before
    for method, path, operation in operations(document):
        content = operation["responses"]["200"]["content"]
        if "application/json" not in content:
            continue
        body = None
        if method == "post":
            body = next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))["value"]
        filled, _, _ = fill(path, operation)
        assert client.request(method, filled, json=body).json() == content["application/json"]["example"], path


def test_the_live_example_shows_open_rooms(client, document):
    examples = document["paths"]["/v1/recommend"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    answer = client.post("/v1/recommend", json=examples["live"]["value"]).json()
    assert all(candidate["room_id"] for candidate in answer["candidates"])


def test_every_schema_and_every_field_has_a_description_and_a_lawful_example(document):
    schemas = document["components"]["schemas"]
    assert "Problem" in schemas
    for name, schema in schemas.items():
        assert schema["description"], name
        if "enum" in schema:
            continue
        for field, description in schema["properties"].items():
            assert description.get("description"), (name, field)
        for example in schema["examples"]:
            SHAPES[name].model_validate(example)


def test_every_operation_has_summary_description_and_described_answers(document):
    for _, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter["name"])


def test_every_reference_leads_somewhere(document):
    def references(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    yield value
                else:
                    yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(document))
    assert found
    for reference in found:
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][kind]


def test_failures_are_documented_as_problems(document):
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_what_may_come_too_late_takes_a_deadline(document):
    takes = {
        path
        for _, path, operation in operations(document)
        if "X-Deadline-Ms" in {parameter["name"] for parameter in operation.get("parameters", ())}
    }
    assert takes == {
        "/v1/recommend",
        "/v1/retrieve",
        "/v1/rerank",
        "/v1/embeddings/snapshot",
        "/v1/embeddings/delta",
    }
    assert takes == {path for _, path, operation in operations(document) if "504" in operation["responses"]}


def test_what_is_answered_while_a_training_runs_has_a_shape_and_an_example(document):
    answer = document["paths"]["/v1/users/{user_id}"]["delete"]["responses"]["202"]
    assert answer["content"]["application/json"] == {
        "schema": {"$ref": "#/components/schemas/ForgottenAnswer"},
        "example": {"status": "pending"},
    }


def test_who_is_to_ask_again_is_told_of_the_header_that_says_when(document):
    for _, path, operation in operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            assert "Retry-After" in operation["responses"][status]["headers"], (path, status)


def test_every_answer_names_its_request(document, client):
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            reference = {"$ref": "#/components/headers/X-Request-Id"}
            assert response["headers"]["X-Request-Id"] == reference, (path, status)
    pattern = document["components"]["headers"]["X-Request-Id"]["schema"]["pattern"]
    assert re.search(pattern, client.get("/healthz").headers["x-request-id"])


def test_without_keys_the_document_asks_for_none(document):
    assert "securitySchemes" not in document["components"]
    for _, path, operation in operations(document):
        assert "security" not in operation, path
        assert not {"401", "403"} & set(operation["responses"]), path


def test_with_keys_the_document_says_which_of_them_opens_what(bundled_workspace, tmp_path):
    (tmp_path / "keys.toml").write_text("")
    with start(bundled_workspace, keys_file=str(tmp_path / "keys.toml")) as client:
        guarded = client.get("/openapi.json").json()
    (scheme,) = guarded["components"]["securitySchemes"]
    assert guarded["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    for _, path, operation in operations(guarded):
        scopes = [requirement[scheme] for requirement in operation["security"]]
        refusals = {"401", "403"} & set(operation["responses"])
        if path in ("/healthz", "/readyz"):
            assert (scopes, refusals) == ([], set()), path
        elif path in ("/metrics", "/v1/users/{user_id}"):
            assert (scopes, refusals) == ([["admin"]], {"401", "403"}), path
        else:
            assert (scopes, refusals) == ([["device"], ["admin"]], {"401"}), path
        assert list(operation["responses"]) == sorted(operation["responses"]), path


def test_the_limits_are_those_of_the_settings(bundled_workspace):
    with start(bundled_workspace, max_candidates=7) as client:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["RerankRequest"]["properties"]["candidates"]["maxItems"] == 7
    assert schemas["RecommendRequest"]["properties"]["count"]["maximum"] == 7


def test_no_person_is_named(document, bundled_workspace):
    examples = document["paths"]["/v1/recommend"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert examples["user_id"]["value"]["user_id"] == "a-newcomer"


def test_another_bundle_brings_other_examples(own_workspace):
    with start(own_workspace, poll_s=POLL_S) as client:
        before = client.get("/openapi.json").json()
        version = publish_variant(own_workspace).manifest.version
        wait_until(lambda: client.get("/readyz").json()["bundle_version"] == version)
        after = client.get("/openapi.json").json()
    assert strip(before) == strip(after)
    shown = after["paths"]["/v1/bundle"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert shown["manifest"]["version"] == version


def strip(document):
    """Returns the document without examples."""
    stripped = copy.deepcopy(document)

    def drop(node):
        if isinstance(node, dict):
            for key in ("example", "examples"):
                node.pop(key, None)
            for value in node.values():
                drop(value)
        elif isinstance(node, list):
            for value in node:
                drop(value)

    drop(stripped)
    return stripped


def test_a_world_without_rooms_has_no_live_example(own_workspace):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys.contracts.bundle import ROOMS_FILE
    from recsys.contracts.schema import arrow_schema
    from tests.serving.test_engine import publish_with

    sink = pa.BufferOutputStream()
    pq.write_table(arrow_schema("room").empty_table(), sink)
    publish_with(own_workspace, {ROOMS_FILE: sink.getvalue().to_pybytes()})
    with start(own_workspace) as client:
        post = client.get("/openapi.json").json()["paths"]["/v1/recommend"]["post"]
        assert set(post["requestBody"]["content"]["application/json"]["examples"]) == {
            "history",
            "query_vector",
            "user_id",
        }
        answer = client.post("/v1/recommend", json={"surface": "live", "count": 5, "history": []})
        assert answer.json()["candidates"] == []


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_document_can_be_looked_at(client, path):
    assert client.get(path).status_code == 200
