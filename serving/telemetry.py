"""Traces for an OpenTelemetry collector: one span a request, and one for each of its stages.

Spans hold a route's template, the method, the status, and when it was: no id of a person or an item, no query, no body.
A thread sends them in batches, so that no request waits for the collector; what it does not take is dropped. Only a
server that is told of a collector imports this module. The SDK reads its own variables, as `OTEL_TRACES_SAMPLER` and
`OTEL_EXPORTER_OTLP_HEADERS`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

_CARRIED: Final = (b"traceparent",)
"""Not `tracestate`, nor `baggage`: what others write there may name a person."""

_TIMEOUT_S: Final = 2.0
"""How long one batch may take, and the last ones together when the server ends."""

_FAILED: Final = 500
"""Statuses from here on are the server's own fault, and mark its span; a client's fault does not (OpenTelemetry's HTTP
conventions)."""


class Telemetry:
    """Sends the spans of one process."""

    def __init__(self, endpoint: str) -> None:
        """Starts the thread that sends.

        Args:
          endpoint: The URL that takes traces by OTLP over HTTP.
        """
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)
        self._provider = TracerProvider(resource=Resource.create({"service.name": "tandem"}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("tandem.serving")
        self._propagator = TraceContextTextMapPropagator()

    def record(
        self,
        scope: Scope,
        route: str,
        method: str,
        status: int,
        begin_s: float,
        stages: Mapping[str, tuple[float, float]],
    ) -> None:
        """Queues the spans of a request that has just been answered.

        Args:
          scope: Of the request; of its headers only the trace context is read.
          route: The template.
          method: HTTP method.
          status: Of the answer.
          begin_s: When it came, on the clock of `time.perf_counter`, as all times here.
          stages: When each began, and how many seconds it took.
        """
        epoch_ns = time.time_ns() - round(time.perf_counter() * 1e9)  # one difference of clocks for all
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CARRIED}
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._propagator.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={"http.route": route, "http.request.method": method, "http.response.status_code": status},
            start_time=epoch_ns + round(begin_s * 1e9),
        )
        if status >= _FAILED:
            span.set_status(trace.StatusCode.ERROR)
        parent = trace.set_span_in_context(span)
        for name, (start_s, seconds) in stages.items():
            start_ns = epoch_ns + round(start_s * 1e9)
            stage = self._tracer.start_span(name, context=parent, start_time=start_ns)
            stage.end(start_ns + round(seconds * 1e9))
        span.end()

    def close(self) -> None:
        """Sends what waits, for as long as a batch may take, and ends the thread."""
        # The SDK's own bound is 30 s, which is more than a server may take to drain.
        limit = threading.Timer(_TIMEOUT_S, self._exporter.shutdown)
        limit.start()
        try:
            self._provider.shutdown()
        finally:
            limit.cancel()
