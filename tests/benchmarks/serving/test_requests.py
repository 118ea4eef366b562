"""Requests are lawful, whole, and out of the bundle's own catalogue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.serving.requests import draw_endpoints
from recsys.errors import ConfigError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace

__all__ = ["bundled_workspace"]


def _bodies(requests: tuple[bytes, ...]) -> list[dict[str, Any]]:
    bodies = []
    for request in requests:
        head, _, content = request.partition(b"\r\n\r\n")
        assert head.splitlines()[-1] == b"Content-Length: %d" % len(content)
        bodies.append(json.loads(content))
    return bodies


def test_lists_have_their_length_and_histories_are_drawn_by_popularity(bundled_workspace: Workspace) -> None:
    constant, short, long, recommend = draw_endpoints(BundleRegistry(bundled_workspace).current(), [20, 50], seed=1)
    assert [constant.name, short.name, long.name, recommend.name] == ["constant", "rerank 20", "rerank 50", "recommend"]
    for endpoint, length in ((short, 20), (long, 50)):
        for body in _bodies(endpoint.requests):
            assert len({candidate["item_id"] for candidate in body["candidates"]}) == length
            scores = [candidate["score"] for candidate in body["candidates"]]
            assert scores == sorted(scores, reverse=True)
    assert _bodies(constant.requests) == _bodies(short.requests)
    assert all(request.startswith(b"POST /constant ") for request in constant.requests)
    histories = [body["history"] for body in _bodies(recommend.requests)]
    assert len({tuple(history) for history in histories}) == len(histories)


def test_a_catalogue_that_is_too_small_is_refused(bundled_workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"at least 500 items on the feed, got \d+\. Name shorter lists"):
        draw_endpoints(BundleRegistry(bundled_workspace).current(), [100, 500], seed=1)
