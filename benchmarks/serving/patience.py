"""A load that tries again: `python -m benchmarks.serving.patience`, a plan on stdin, the outcome on stdout.

Open loop as `load`, but a request that a second attempt may mend is sent again, as `serving.client` does it: where no
answer came, and after 429 and 503; after what `Retry-After` says and a drawn while more that doubles, three times at
most. A request has failed when its last attempt has. What became of each attempt is told beside it.
"""

from __future__ import annotations

import gc
import heapq
import json
import random
import select
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.load import MAX_CONNECTIONS, Connection, draw_arrivals, read_requests, summarise

MAX_RETRIES: Final = 3
PAUSE_S: Final = 0.1
"""Both as `serving.client.Client` has them by default."""

_PATIENCE_S: Final = 30.0
_RETRIED: Final = (0, 429, 503)
"""What a second attempt may mend; 0 stands for no answer."""


@dataclass(order=True)
class _Wish:
    """A request that is to be answered.

    Attributes:
      at_s: When it is to be sent.
      due_s: When it was first due.
      number: Which one it is.
      attempt: How often it was sent before.
    """

    at_s: float
    due_s: float
    number: int
    attempt: int = 0


class PatientLoad:
    """Requests to one server, and what came of them."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes], seed: int) -> None:
        """Connects nothing yet.

        Args:
          host: Of the server.
          port: Of the server.
          requests: Whole HTTP requests, sent in turn.
          seed: Of the pauses.
        """
        self._host, self._port, self._requests = host, port, requests
        self._rng = random.Random(seed)
        self._wishes: list[_Wish] = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, _Wish] = {}
        self.attempts: Counter[int] = Counter()
        self.failures: Counter[int] = Counter()
        self.latencies_s: list[float] = []

    def run(self, due_s: Sequence[float]) -> None:
        """Sends a request at each moment (seconds from now, rising), and waits for the last answer."""
        start = time.perf_counter()
        self._wishes = [_Wish(start + moment, start + moment, number) for number, moment in enumerate(due_s)]
        give_up_s = start + due_s[-1] + _PATIENCE_S
        while self._wishes or self._busy:
            now_s = time.perf_counter()
            if now_s > give_up_s:
                self.failures[0] += len(self._wishes) + len(self._busy)
                return
            while self._wishes and self._wishes[0].at_s <= now_s and len(self._busy) < MAX_CONNECTIONS:
                self._send(heapq.heappop(self._wishes))
            is_full = len(self._busy) >= MAX_CONNECTIONS
            until_s = self._wishes[0].at_s if self._wishes and not is_full else now_s + 1.0
            self._collect(min(until_s, now_s + 1.0) - time.perf_counter())

    def close(self) -> None:
        """Hangs up."""
        for connection in (*self._idle, *self._busy):
            connection.socket.close()

    def _send(self, wish: _Wish) -> None:
        connection = None
        try:
            connection = self._take_idle() or Connection(self._host, self._port)
            connection.send(self._requests[wish.number % len(self._requests)], wish.due_s)
        except OSError:
            if connection is not None:
                connection.socket.close()
            self._settle(wish, 0, 0.0)
        else:
            self._busy[connection] = wish

    def _take_idle(self) -> Connection | None:
        """Returns a connection that is still open: a client's pool does not send on one that was closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if not select.select([connection], (), (), 0.0)[0]:
                return connection
            connection.socket.close()
        return None

    def _collect(self, timeout_s: float) -> None:
        """Takes what comes within a time."""
        readable, _, _ = select.select(list(self._busy), (), (), max(timeout_s, 0.0))
        for connection in readable:
            try:
                status = connection.receive()
            except OSError:
                status = 0
            if status is None:
                continue
            wish = self._busy.pop(connection)
            if status:
                self._idle.append(connection)
            else:
                connection.socket.close()
            self._settle(wish, status, connection.retry_after_s)

    def _settle(self, wish: _Wish, status: int, asked_s: float) -> None:
        """Notes what became of an attempt, and what follows from it."""
        now_s = time.perf_counter()
        self.attempts[status] += 1
        if status == 200:
            self.latencies_s.append(now_s - wish.due_s)
        elif status in _RETRIED and wish.attempt < MAX_RETRIES:
            pause_s = asked_s + self._rng.uniform(0.0, PAUSE_S * 2.0**wish.attempt)
            heapq.heappush(self._wishes, _Wish(now_s + pause_s, wish.due_s, wish.number, wish.attempt + 1))
        else:
            self.failures[status] += 1


def run_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Runs what a plan says and returns what came of it, JSON-ready.

    Args:
      plan: As of `load.run_plan`, for the open loop.

    Returns:
      `num_answers`, `attempts` and `failures` (those after the last attempt) by status, `"0"` where no answer came, and
      the `latency` of what was answered in the end, from when it was first due.
    """
    load = PatientLoad(plan["host"], plan["port"], read_requests(Path(plan["requests"])), plan["seed"])
    gc.disable()
    try:
        load.run(draw_arrivals(plan["rate_per_s"], plan["seconds"], plan["seed"]).tolist())
    finally:
        load.close()
    return {
        "num_answers": len(load.latencies_s),
        "attempts": {str(status): count for status, count in sorted(load.attempts.items())},
        "failures": {str(status): count for status, count in sorted(load.failures.items())},
        "latency": summarise(load.latencies_s),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_plan(json.load(sys.stdin))))
