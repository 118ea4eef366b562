"""What is seen of the service from outside: Prometheus metrics, one log line a request, and the times of its stages.

Neither holds a user id, an item id, a raw path or a body: routes are named by their templates.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:  # which only a server that is told of a collector imports
    from serving.telemetry import Telemetry

LOGGER: Final = logging.getLogger("tandem.serving")

_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable in which prometheus_client looks, when it is imported, for a folder where processes add up what they
count; see `crew`."""

_BATCH_SIZES: Final = (1, 2, 3, 4, 6, 8)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_ROUTES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_UNMATCHED: Final = "unmatched"
_STAGES: Final = "tandem.stages"
_IDS: Final = random.Random()  # names need not be secret, and asking the kernel for each takes longer


_REQUEST: Final = LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, "request", (), None).__dict__
"""What the log's records of requests have in common."""


class Stopwatch:
    """Seconds that each stage of one request took, and when it first began."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.begins: dict[str, float] = {}

    def add(self, name: str, begin_s: float) -> float:
        """Adds the time since `begin_s`, on the clock of `time.perf_counter`, to a stage; returns the seconds."""
        seconds = time.perf_counter() - begin_s
        self.laps[name] = self.laps.get(name, 0.0) + seconds
        self.begins.setdefault(name, begin_s)
        return seconds

    def include(self, other: Stopwatch) -> None:
        """Adds the stages of another one."""
        for name, seconds in other.laps.items():
            self.laps[name] = self.laps.get(name, 0.0) + seconds
            self.begins.setdefault(name, other.begins[name])

    def stage(self, name: str) -> _Stage:
        """Adds the time of the block to a stage."""
        return _Stage(self, name)


class _Stage:
    """A block that is timed. No generator, which takes three times as long."""

    __slots__ = ("_begin_s", "_name", "_stopwatch")

    def __init__(self, stopwatch: Stopwatch, name: str) -> None:
        self._stopwatch, self._name = stopwatch, name

    def __enter__(self) -> None:
        self._begin_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stopwatch.add(self._name, self._begin_s)


class Metrics:
    """The metrics of one application; several in one process do not mix."""

    def __init__(self, queue_depth: Callable[[], float]) -> None:
        """Makes all metrics, at zero.

        Args:
          queue_depth: Tells how many requests are waiting for a thread or running in one.
        """
        self._registry = CollectorRegistry()
        self._served: tuple[str, str] | None = None
        requests = Counter(
            "tandem_requests", "Requests answered.", ("route", "method", "status"), registry=self._registry
        )
        seconds = self._histogram(
            "tandem_request_seconds", "Time from the request's first byte to the answer's last.", _BUCKETS_S, ("route",)
        )
        stage_seconds = self._histogram(
            "tandem_stage_seconds", "Time within a request, by stage.", _BUCKETS_S, ("route", "stage")
        )
        self._batch_size = self._histogram("tandem_batch_size", "Lists re-ranked together.", _BATCH_SIZES)
        self._bundle = self._gauge(
            "tandem_bundle_info", "The served bundle: how many processes serve it.", ("version", "embedding_version")
        )
        self._loads = self._counter(
            "tandem_bundle_loads", "Bundles found, by what became of them.", outcome=("served", "refused")
        )
        self._lookups = self._counter(
            "tandem_cache_lookups",
            "Whether what was asked for was there: messages in `archive`, a copy that the `client` says it holds.",
            cache=("archive", "client"),
            outcome=("hit", "miss"),
        )
        self._depth = self._gauge("tandem_queue_depth", "Requests that wait, or are in a thread.")
        self._queue_depth = queue_depth

        # Looked up once, for looking up takes longer than counting. Labels are few: no more than routes and stages.
        self._request_of = cache(requests.labels)
        self._seconds_of = cache(seconds.labels)
        self._stage_seconds_of = cache(stage_seconds.labels)

    def _counter(self, name: str, words: str, **labels: Sequence[str]) -> Counter:
        """Returns a counter that begins at zero for all values of its labels."""
        counter = Counter(name, words, tuple(labels), registry=self._registry)
        for values in product(*labels.values()):
            counter.labels(*values)
        return counter

    def _histogram(self, name: str, words: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        return Histogram(name, words, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, words: str, labels: Sequence[str] = ()) -> Gauge:
        """Returns a gauge that processes which share their figures add up, as long as they live."""
        return Gauge(name, words, labels, registry=self._registry, multiprocess_mode="livesum")

    def record_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        self._depth.set(self._queue_depth())
        self._request_of(route, method, status).inc()
        self._seconds_of(route).observe(seconds)

    def record_stages(self, route: str, stopwatch: Stopwatch) -> None:
        """Adds the stages of one request."""
        # A copy: a thread whose client's deadline has passed still adds to it.
        for stage, seconds in dict(stopwatch.laps).items():
            self._stage_seconds_of(route, stage).observe(seconds)

    def record_batch(self, size: int) -> None:
        """Counts lists that were re-ranked together."""
        self._batch_size.observe(size)

    def record_served(self, version: str, embedding_version: str) -> None:
        """Names the bundle that is served from now on."""
        self._loads.labels("served").inc()
        if self._served is not None:
            self._bundle.labels(*self._served).set(0)
            if SHARED not in os.environ:  # files that processes share keep what was once in them
                self._bundle.remove(*self._served)
        self._served = (version, embedding_version)
        self._bundle.labels(version, embedding_version).set(1)

    def record_refused(self) -> None:
        """Counts a bundle that could not be served."""
        self._loads.labels("refused").inc()

    def record_lookup(self, cache_name: Literal["archive", "client"], is_hit: bool) -> None:
        """Counts a look into a cache."""
        self._lookups.labels(cache_name, "hit" if is_hit else "miss").inc()

    def render(self) -> bytes:
        """Returns everything in Prometheus' text format, of all processes of the server where it has several."""
        self._depth.set(self._queue_depth())
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)
        return generate_latest(shared)


class Observer:
    """Counts, times, logs and, if asked, traces every request, and gives it an id."""

    def __init__(self, app: ASGIApp, metrics: Metrics, telemetry: Telemetry | None) -> None:
        """Wraps an application.

        Args:
          app: What answers.
          metrics: Where to count.
          telemetry: What sends traces, if anything does.
        """
        self._app = app
        self._metrics = metrics
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and records what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = scope["tandem.start_s"] = time.perf_counter()
        request_id = scope["tandem.request_id"] = f"{_IDS.getrandbits(64):016x}"
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, observe)
        finally:
            self._record(scope, status, time.perf_counter() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.record_request(route, method, status, seconds)
        if self._telemetry is not None and route not in _QUIET_ROUTES:
            self._telemetry.record(scope, route, method, status, scope["tandem.start_s"], scope.get(_STAGES, {}))
        level = logging.DEBUG if route in _QUIET_ROUTES else logging.INFO
        if not LOGGER.isEnabledFor(level):
            return
        fields = {
            "request_id": scope["tandem.request_id"],
            "route": route,
            "method": method,
            "status": status,
            "ms": round(seconds * 1e3, 3),
        }
        LOGGER.handle(_make_record(level, fields))


def _make_record(level: int, fields: dict[str, Any]) -> logging.LogRecord:
    """Returns the log's record of a request: a copy, for `log` finds out for each what is the same in all."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    created = time.time()
    own = {"levelno": level, "levelname": logging.getLevelName(level), "created": created, "fields": fields}
    record.__dict__.update(_REQUEST, **own, msecs=created % 1 * 1e3)
    return record


def keep_stages(scope: Scope, stopwatch: Stopwatch) -> None:
    """Leaves the stages of a request where its trace finds them; work that comes after other work adds its own."""
    found = {name: (begin_s, stopwatch.laps[name]) for name, begin_s in dict(stopwatch.begins).items()}
    scope[_STAGES] = scope.get(_STAGES, {}) | found


def request_id_of(scope: Scope) -> str:
    """Returns the id that the log knows the request by."""
    return str(scope.get("tandem.request_id", ""))


def route_of(scope: Scope) -> str:
    """Returns the template of the matched route, so that no id and no attacker's path becomes a label."""
    return scope.get("tandem.route") or str(getattr(scope.get("route"), "path", _UNMATCHED))
