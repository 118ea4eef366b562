"""The load, in a process of its own: `python -m benchmarks.serving.load`, a plan on stdin, what came of it on stdout.

Open loop: requests are due at moments drawn beforehand (a Poisson process), whether or not the server keeps up, and a
latency runs from the moment a request was *due*. Whoever waits for an answer before he sends the next request counts a
stall once, where people who come on their own would have met it one by one: "coordinated omission" (Gil Tene, "How NOT
to Measure Latency", Strange Loop 2015). Closed loop: so many requests are always under way, which saturates the server
and tells its throughput, but nothing about latency.

It shares the machine with the server, so it is one thread over plain sockets: `select`, unlike `epoll`, sleeps to the
microsecond. What it takes itself is told: its share of one core, and how late it noticed what was due.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from recsys.contracts.arrays import Float64Array
from recsys.errors import ConfigError

MAX_CONNECTIONS: Final = 256
"""Connections of the open loop; what is due while all are busy waits here, and its clock runs."""

_PATIENCE_S: Final = 30.0
"""How long the last answers are waited for; what has none by then has failed."""

_SEND_BUFFER_BYTES: Final = 1 << 20
"""Holds any request whole, so that sending never blocks."""

_HEAD_END: Final = b"\r\n\r\n"


class Connection:
    """One connection that is kept alive; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.due_s = 0.0
        self.retry_after_s = 0.0
        self._received = b""

    def fileno(self) -> int:
        """For `select`."""
        return self.socket.fileno()

    def send(self, request: bytes, due_s: float) -> None:
        """Sends a request that was due at `due_s`."""
        self.due_s, self._received = due_s, b""
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Takes what has come; returns the status once the answer is whole, 0 where the server hung up."""
        part = self.socket.recv(262_144)
        if not part:
            return 0
        self._received += part
        end = self._received.find(_HEAD_END)
        if end < 0 or len(self._received) < end + len(_HEAD_END) + read_length(self._received[:end]):
            return None
        self.retry_after_s = _read_pause(self._received[:end])
        return int(self._received[9:12])


def read_length(head: bytes) -> int:
    """Returns the length of the body that the head of an answer announces.

    Raises:
      ConfigError: If it announces none; the answers of this service all do.
    """
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ConfigError("Expected answers with a Content-Length, got one without. Ask an endpoint that does not stream.")


def _read_pause(head: bytes) -> float:
    """Returns the seconds that the head of an answer asks to wait; 0 where it asks for none."""
    _, found, rest = head.lower().partition(b"\r\nretry-after:")
    value = rest.split(b"\r\n", 1)[0].strip()
    return float(value) if found and value.isdigit() else 0.0


class Load:
    """Requests to one endpoint, and what came of them."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes]) -> None:
        """Connects nothing yet.

        Args:
          host: Of the server.
          port: Of the server.
          requests: Whole HTTP requests, sent in turn.
        """
        self._host, self._port, self._requests = host, port, requests
        self._idle: list[Connection] = []
        self._busy: list[Connection] = []
        self._sent = 0
        self.latencies_s: list[float] = []
        self.finished_s: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.late_s: list[float] = []

    def run_open(self, due_s: Sequence[float]) -> None:
        """Sends a request at each moment (seconds from now, rising), and waits for the last answer."""
        start, waiting, place = time.perf_counter(), deque[float](), 0
        give_up = start + due_s[-1] + _PATIENCE_S
        while place < len(due_s) or self._busy or waiting:
            now = time.perf_counter()
            while place < len(due_s) and start + due_s[place] <= now:
                waiting.append(start + due_s[place])
                self.late_s.append(now - waiting[-1])
                place += 1
            while waiting and (self._idle or len(self._busy) < MAX_CONNECTIONS):
                self._send(waiting.popleft())
            if now > give_up:
                self.statuses[0] += len(self._busy) + len(waiting)
                return
            until = start + due_s[place] if place < len(due_s) else give_up
            self._collect(until - time.perf_counter())

    def run_closed(self, num_connections: int, seconds: float) -> None:
        """Keeps so many requests under way for so long."""
        end = time.perf_counter() + seconds
        for _ in range(num_connections):
            self._send(time.perf_counter())
        while self._busy:
            for _ in range(self._collect(_PATIENCE_S)):
                if time.perf_counter() < end:
                    self._send(time.perf_counter())

    def close(self) -> None:
        """Hangs up."""
        for connection in (*self._idle, *self._busy):
            connection.socket.close()

    def _send(self, due_s: float) -> None:
        connection = self._idle.pop() if self._idle else Connection(self._host, self._port)
        connection.send(self._requests[self._sent % len(self._requests)], due_s)
        self._sent += 1
        self._busy.append(connection)

    def _collect(self, timeout_s: float) -> int:
        """Takes what comes within a time; returns how many answers are whole."""
        done = 0
        readable, _, _ = select.select(self._busy, (), (), max(timeout_s, 0.0))
        for connection in readable:
            status = connection.receive()
            if status is None:
                continue
            now, done = time.perf_counter(), done + 1
            self._busy.remove(connection)
            self.statuses[status] += 1
            if status:
                self._idle.append(connection)
            else:
                connection.socket.close()
            if status == 200:
                self.latencies_s.append(now - connection.due_s)
                self.finished_s.append(now)
        return done


def draw_arrivals(rate_per_s: float, seconds: float, seed: int) -> Float64Array:
    """Returns the moments of a Poisson process, rising, `[num]` float64, in seconds.

    At least one, so that there is something to measure.
    """
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1.0 / rate_per_s, max(1, round(2 * rate_per_s * seconds) + 10))
    moments = np.cumsum(gaps)
    return moments[: max(1, int(np.searchsorted(moments, seconds)))]


def summarise(latencies_s: Sequence[float]) -> dict[str, float]:
    """Returns percentiles in milliseconds: linear interpolation between the two nearest; none of no answers."""
    if not latencies_s:
        return {}
    levels = np.percentile(np.asarray(latencies_s) * 1e3, (50, 90, 99, 100))
    return dict(zip(("p50_ms", "p90_ms", "p99_ms", "max_ms"), levels.tolist(), strict=True))


def run_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Runs what a plan says and returns what came of it, JSON-ready.

    Args:
      plan: `host`, `port`, `requests` (a file of whole requests, each behind its length as 8 hexadecimal digits) and
        `seconds`; for the open loop `rate_per_s` and `seed`, for the closed one `num_connections`.
    """
    load = Load(plan["host"], plan["port"], read_requests(Path(plan["requests"])))
    gc.disable()
    start, cpu = time.perf_counter(), time.process_time()
    try:
        _choose(load, plan)()
    finally:
        load.close()
    seconds = time.perf_counter() - start
    late = summarise(load.late_s)
    return {
        "num_answers": len(load.latencies_s),
        "failures": {str(status): count for status, count in sorted(load.statuses.items()) if status != 200},
        "per_second": _measure_rate(load.finished_s, start, plan["seconds"]),
        "latency": summarise(load.latencies_s),
        "generator": {"cpu_share": (time.process_time() - cpu) / seconds, "late_p99_ms": late.get("p99_ms", 0.0)},
    }


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    """Writes requests to a file, as `read_requests` reads them."""
    path.write_bytes(b"".join(b"%08x" % len(request) + request for request in requests))


def read_requests(path: Path) -> list[bytes]:
    """Returns what `write_requests` wrote."""
    content, requests, place = path.read_bytes(), [], 0
    while place < len(content):
        end = place + 8 + int(content[place : place + 8], 16)
        requests.append(content[place + 8 : end])
        place = end
    return requests


def _choose(load: Load, plan: Mapping[str, Any]) -> Callable[[], None]:
    if "num_connections" in plan:
        return lambda: load.run_closed(plan["num_connections"], plan["seconds"])
    due_s = draw_arrivals(plan["rate_per_s"], plan["seconds"], plan["seed"]).tolist()
    return lambda: load.run_open(due_s)


def _measure_rate(finished_s: Sequence[float], start_s: float, seconds: float) -> float:
    """Answers a second, counted from the first fifth on: by then all connections are open and all caches warm."""
    begin, end = start_s + seconds / 5, start_s + seconds
    return sum(begin <= moment < end for moment in finished_s) / (end - begin)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_plan(json.load(sys.stdin))))
