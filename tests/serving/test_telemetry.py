"""FastAPI's own traces hold paths and queries, and so the ids of people; the service makes none."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace

from tests.serving.conftest import start


class Provider(trace.TracerProvider):
    """What a process with tracing has."""

    def __init__(self):
        self.was_asked = False

    def get_tracer(self, *args, **options):
        self.was_asked = True
        return trace.NoOpTracer()


@pytest.fixture
def provider(monkeypatch):
    found = Provider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: found)
    return found


def test_the_framework_alone_would_trace_requests(provider):
    with TestClient(FastAPI()) as client:
        client.delete("/v1/users/ada")
    assert provider.was_asked


def test_the_service_traces_no_request(provider, own_workspace):
    with start(own_workspace) as client:
        client.delete("/v1/users/ada?why=secret")
    assert not provider.was_asked
