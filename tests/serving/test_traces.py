"""Traces, as a collector gets them."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from recsys.config.serving import ServingSettings
from recsys.config.settings import override_settings
from recsys.errors import ConfigError
from serving.service import Service
from tests.serving.conftest import start

WISH_OF_NOBODY = {"surface": "feed", "count": 3, "history": ["i001", "i002"]}
WISH_OF_ADA = {"surface": "feed", "count": 3, "user_id": "ada-the-secret"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FAR = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=ada-the-secret", "baggage": "who=ada-the-secret"}


class Collector:
    """Keeps the bodies that it is sent."""

    def __init__(self):
        self.bodies = bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self):
        batches = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        scopes = [scope for batch in batches for resource in batch.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector():
    started = Collector()
    yield started
    started.close()


def attributes(span):
    return {entry.key: entry.value.string_value or entry.value.int_value for entry in span.attributes}


def test_a_request_is_a_span_of_its_caller_and_its_stages_lie_within(own_workspace, collector):
    with start(own_workspace, traces_endpoint=collector.url) as client:
        assert client.post("/v1/recommend", json=WISH_OF_NOBODY, headers=FAR).status_code == 200
    [request] = [span for span in collector.spans() if span.name == "POST /v1/recommend"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    expected = {"http.route": "/v1/recommend", "http.request.method": "POST", "http.response.status_code": 200}
    assert attributes(request) == expected
    stages = [span for span in collector.spans() if span.parent_span_id == request.span_id]
    assert {span.name for span in stages} == {"queue", "encode", "propose"}
    for stage in stages:
        assert request.start_time_unix_nano <= stage.start_time_unix_nano
        assert stage.start_time_unix_nano < stage.end_time_unix_nano <= request.end_time_unix_nano


def test_nothing_that_names_a_person_or_an_item_reaches_the_collector(own_workspace, collector):
    with start(own_workspace, traces_endpoint=collector.url) as client:
        client.post("/v1/recommend?why=ada-the-secret", json=WISH_OF_ADA, headers=FAR)
        client.delete("/v1/users/ada-the-secret")
        client.get("/ada-the-secret")
        event = {"event_id": "ada-the-secret", "user_id": "ada-the-secret", "item_id": "i001", "action": "like"}
        client.post("/v1/events", json={"events": [{**event, "surface": "feed", "timestamp_ms": 1}]})
    names = {span.name for span in collector.spans()}
    assert {"POST /v1/recommend", "DELETE /v1/users/{user_id:text}", "GET unmatched", "POST /v1/events"} <= names
    assert not any(word in body for body in collector.bodies for word in (b"ada-the-secret", b"i001"))


def test_only_the_server_s_own_faults_mark_a_span_and_probes_make_none(own_workspace, collector):
    (own_workspace.current).unlink()
    with start(own_workspace, traces_endpoint=collector.url) as client:
        assert client.post("/v1/recommend", json=WISH_OF_NOBODY).status_code == 503
        assert client.post("/v1/recommend", content=b"[").status_code == 422
        for path in ("/healthz", "/readyz", "/metrics"):
            client.get(path)
    by_status = {attributes(span)["http.response.status_code"]: span.status.code for span in collector.spans()}
    assert by_status == {503: 2, 422: 0}  # 2 is ERROR, 0 is UNSET


def test_a_caller_s_wish_for_no_trace_is_heeded(own_workspace, collector):
    with start(own_workspace, traces_endpoint=collector.url) as client:
        client.get("/v1/bundle", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        client.get("/v1/bundle", headers={"traceparent": "no trace context at all"})
    [span] = collector.spans()
    assert span.parent_span_id == b""


def test_requests_are_answered_while_the_collector_is_away_and_the_log_says_that_it_is(own_workspace, caplog):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1/traces"
    with caplog.at_level(logging.WARNING, "opentelemetry"), start(own_workspace, traces_endpoint=url) as client:
        assert client.post("/v1/recommend", json=WISH_OF_NOBODY).status_code == 200
    assert any(record.name.startswith("opentelemetry.exporter") for record in caplog.records)


def test_a_url_that_is_none_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"^`traces_endpoint`: expected a URL as http://host:4318/v1/traces, or nothing, got 'collector:4318'$",
    ):
        override_settings(ServingSettings(), {"traces_endpoint": "collector:4318"})


def test_without_the_packages_that_send_traces_it_does_not_start_and_says_what_to_do(own_workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "serving.telemetry", None)
    with pytest.raises(ConfigError, match="Install the extra `telemetry`, or leave the setting empty"):
        Service.assemble(own_workspace, ServingSettings(traces_endpoint="http://127.0.0.1:4318/v1/traces"))
