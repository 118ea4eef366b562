"""What the OpenAPI document says is what the running server does, for requests drawn from the document itself.

schemathesis draws them: lawful ones, and ones that break the document in one place. Whatever comes, the server must not
fail, and its answer must be one that the document names, of the type and the shape that stand there.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving.test_server import PROGRAM, REPOSITORY


def no_failure(context, response, case):
    """Of a server error, of which one may be asked for: a deadline of a millisecond is lawful, and often missed."""
    is_asked_for = response.status_code == 504 and "X-Deadline-Ms" in (case.headers or {})
    return None if is_asked_for else not_a_server_error(context, response, case)


CHECKS = [
    no_failure,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 25
"""Of each operation, lawful ones and others alike: about a minute together."""

FEW_EXAMPLES = 5
"""Of each operation, asked with each of the keys."""

TAKE_SOMETHING = (
    "POST /v1/recommend",
    "POST /v1/retrieve",
    "POST /v1/rerank",
    "POST /v1/events",
    "DELETE /v1/users/{user_id}",
    "GET /v1/embeddings/snapshot",
    "GET /v1/embeddings/delta",
    "GET /v1/bundle/files/{name}",
)
TAKE_NOTHING = ("GET /v1/bundle", "GET /healthz", "GET /readyz", "GET /metrics")
"""Of these no request can be wrong."""


KEYS = {"a-device": "device", "an-admin": "admin"}
AUTHORIZATIONS = (None, "Bearer unknown", "Basic a-device", *(f"Bearer {key}" for key in KEYS))


@pytest.fixture(scope="module")
def schema(bundled_workspace, tmp_path_factory):
    """The document of a server without keys."""
    yield from documented(bundled_workspace, tmp_path_factory, {})


@pytest.fixture(scope="module")
def guarded(bundled_workspace, tmp_path_factory):
    """The document of a server that asks for keys."""
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    path.write_text(
        "".join(
            f'[{key}]\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\nscope = "{scope}"\n'
            "requests_per_s = 1000\nburst = 1000\n"
            for key, scope in KEYS.items()
        )
    )
    yield from documented(bundled_workspace, tmp_path_factory, {"keys_file": str(path)})


def documented(bundled_workspace, tmp_path_factory, changes):
    """Yields the document of a server that runs over a copy of its own: people are forgotten, events kept."""
    root = tmp_path_factory.mktemp("drawn") / "workspace"
    shutil.copytree(bundled_workspace.root, root)
    with (tmp_path_factory.mktemp("log") / "log").open("wb") as log:  # a pipe would be full before long
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root), repr(changes)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            url = process.stdout.readline().strip()
            yield schemathesis.openapi.from_url(f"{url}/openapi.json")
        finally:
            process.kill()
            process.communicate()


def test_every_operation_of_the_document_is_drawn_from(schema):
    found = {result.ok().label for result in schema.get_all_operations()}
    assert found == {*TAKE_SOMETHING, *TAKE_NOTHING}


@pytest.mark.parametrize("label", [*TAKE_SOMETHING, *TAKE_NOTHING])
def test_lawful_requests_get_an_answer_that_the_document_names(schema, label):
    draw_and_check(schema, label, GenerationMode.POSITIVE)


@pytest.mark.parametrize("label", TAKE_SOMETHING)
def test_requests_that_break_the_document_get_one_too(schema, label):
    draw_and_check(schema, label, GenerationMode.NEGATIVE)


@pytest.mark.parametrize("label", [*TAKE_SOMETHING, *TAKE_NOTHING])
def test_with_keys_each_scope_gets_what_the_document_says_and_nobody_else_does(guarded, label):
    needed = guarded.find_operation_by_label(label).definition.raw["security"]
    opening = {scope for requirement in needed for scope in requirement["key"]}

    def check(case, authorization):
        answer = case.call(headers={} if authorization is None else {"Authorization": authorization})
        case.validate_response(answer, checks=CHECKS)
        scope = KEYS.get((authorization or "").removeprefix("Bearer "))
        if not opening or scope in opening:
            assert answer.status_code not in (401, 403)
        else:
            assert answer.status_code == (401 if scope is None else 403)

    @drawn(FEW_EXAMPLES)
    @given(case=guarded.find_operation_by_label(label).as_strategy(generation_mode=GenerationMode.POSITIVE))
    def ask(case):
        for authorization in AUTHORIZATIONS:
            check(case, authorization)

    ask()


def draw_and_check(schema, label, mode):
    @drawn(EXAMPLES)
    @given(case=schema.find_operation_by_label(label).as_strategy(generation_mode=mode))
    def ask(case):
        case.validate_response(case.call(), checks=CHECKS)

    ask()


def drawn(max_examples):
    return settings(max_examples=max_examples, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
