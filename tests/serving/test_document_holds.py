"""What the OpenAPI document says is what the running server does, for requests drawn from the document itself.

schemathesis draws them: lawful ones, and ones that break the document in one place. Whatever comes, the server must not
fail, and its answer must be one that the document names, of the type and the shape that stand there.
"""

from __future__ import annotations

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
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving.test_server import PROGRAM, REPOSITORY

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25
"""Of each operation, lawful ones and others alike: about a minute together."""

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


@pytest.fixture(scope="module")
def schema(bundled_workspace, tmp_path_factory):
    """The document of a server that runs over a copy of its own: people are forgotten, events kept."""
    root = tmp_path_factory.mktemp("drawn") / "workspace"
    shutil.copytree(bundled_workspace.root, root)
    with (tmp_path_factory.mktemp("log") / "log").open("wb") as log:  # a pipe would be full before long
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root), "{}"],
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


def draw_and_check(schema, label, mode):
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=schema.find_operation_by_label(label).as_strategy(generation_mode=mode))
    def ask(case):
        case.validate_response(case.call(), checks=CHECKS)

    ask()
