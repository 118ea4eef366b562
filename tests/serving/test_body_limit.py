from __future__ import annotations

import json

import pytest

from tests.serving.conftest import problem_of, start

LIMIT = 2_048
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def narrow(bundled_workspace):
    with start(bundled_workspace, max_body_bytes=LIMIT) as client:
        yield client


def body_of(size_bytes: int) -> bytes:
    """Returns a lawful request of exactly this length."""
    text = json.dumps({"surface": "feed", "count": 1, "history": []})
    return text.encode() + b" " * (size_bytes - len(text))


def in_chunks(body: bytes):
    """A body whose length nobody declares."""
    for start_byte in range(0, len(body), 100):
        yield body[start_byte : start_byte + 100]


def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(narrow):
    assert narrow.post("/v1/recommend", content=body_of(LIMIT), headers=JSON).status_code == 200
    response = narrow.post("/v1/recommend", content=body_of(LIMIT + 1), headers=JSON)
    problem = problem_of(response, 413)
    assert problem["title"] == "Content Too Large"
    assert problem["detail"] == "Expected a body of at most 2048 bytes, got more. Send fewer items at once."
    assert response.headers["connection"] == "close"


def test_a_body_of_undeclared_length_is_counted_as_it_comes(narrow):
    assert narrow.post("/v1/recommend", content=in_chunks(body_of(LIMIT)), headers=JSON).status_code == 200
    problem_of(narrow.post("/v1/recommend", content=in_chunks(body_of(LIMIT + 1)), headers=JSON), 413)


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/bundle", "/nowhere"])
def test_the_limit_holds_on_every_path_and_has_one_shape(narrow, path):
    problem_of(narrow.post(path, content=b"x" * (LIMIT + 1)), 413)


def test_a_declared_length_beyond_reason_is_refused(narrow):
    huge = {"Content-Length": "9" * 40}
    problem_of(narrow.post("/v1/recommend", content=in_chunks(b"{}"), headers={**JSON, **huge}), 413)


def test_what_is_too_large_is_not_parsed(narrow):
    problem_of(narrow.post("/v1/recommend", content=b"{" * (LIMIT + 1), headers=JSON), 413)
