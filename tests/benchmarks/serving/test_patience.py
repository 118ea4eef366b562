"""The load that tries again, against real sockets whose answers are known beforehand."""

from __future__ import annotations

import inspect
import socket
import threading
from pathlib import Path

from benchmarks.serving.load import write_requests
from benchmarks.serving.patience import MAX_RETRIES, PAUSE_S, PatientLoad, run_plan
from serving.client import Client
from tests.scripted_server import OK, REQUEST, Scripted, scripted

__all__ = ["scripted"]

BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def run(port: int, num_requests: int = 1) -> PatientLoad:
    load = PatientLoad("127.0.0.1", port, [REQUEST], seed=0)
    load.run([place / 50 for place in range(num_requests)])
    load.close()
    return load


def test_it_tries_as_often_and_as_soon_as_the_client_does() -> None:
    defaults = inspect.signature(Client).parameters
    assert (defaults["max_retries"].default, defaults["pause_s"].default) == (MAX_RETRIES, PAUSE_S)


def test_who_is_sent_away_comes_again_after_what_was_asked_and_has_not_failed(scripted: type[Scripted]) -> None:
    load = run(scripted(BUSY, OK).port)
    assert (load.attempts, load.failures) == ({429: 1, 200: 1}, {})
    assert load.latencies_s[0] >= 1.0, "from when it was first due"


def test_a_connection_that_is_hung_up_is_an_attempt_without_an_answer(scripted: type[Scripted]) -> None:
    load = run(scripted(b"", OK).port)
    assert (load.attempts, load.failures) == ({0: 1, 200: 1}, {})


def test_nothing_is_sent_on_a_connection_that_was_closed_while_idle() -> None:
    """One answer a connection: the second request, a while later, finds the first connection closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_and_hang_up() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1_000)
                    connection.sendall(OK)

        server = threading.Thread(target=answer_and_hang_up)
        server.start()
        load = PatientLoad("127.0.0.1", listener.getsockname()[1], [REQUEST], seed=0)
        load.run([0.0, 0.5])
        load.close()
        server.join()
    assert (load.attempts, load.failures) == ({200: 2}, {})


def test_a_fault_is_not_asked_for_again(scripted: type[Scripted]) -> None:
    load = run(scripted(FAULT, OK, OK).port, num_requests=3)
    assert (load.attempts, load.failures) == ({500: 1, 200: 2}, {500: 1})


def test_after_the_last_attempt_it_has_failed(scripted: type[Scripted]) -> None:
    load = run(scripted(*[b""] * 8).port)
    assert (load.attempts, load.failures) == ({0: 1 + MAX_RETRIES}, {0: 1})


def test_a_plan_tells_what_came_of_it(scripted: type[Scripted], tmp_path: Path) -> None:
    write_requests(tmp_path / "requests", [REQUEST])
    where = {"host": "127.0.0.1", "port": scripted(OK).port, "requests": str(tmp_path / "requests")}
    told = run_plan({**where, "seconds": 0.3, "rate_per_s": 50.0, "seed": 1})
    assert told["attempts"] == {"200": told["num_answers"]}
    assert told["failures"] == {}
    assert told["latency"]["p50_ms"] > 0
