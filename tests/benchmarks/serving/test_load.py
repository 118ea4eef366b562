"""The load against real sockets whose answers are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import load as module
from benchmarks.serving.load import (
    Load,
    draw_arrivals,
    read_length,
    read_requests,
    run_plan,
    summarise,
    write_requests,
)
from recsys.errors import ConfigError
from tests.scripted_server import OK, REQUEST, Scripted, scripted

__all__ = ["scripted"]

BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"


def test_a_stall_counts_for_everybody_who_was_due_meanwhile(
    scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection, a first answer after 0.4 s, ten requests due in the first 0.1 s: all of them waited."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    load = Load("127.0.0.1", scripted(OK, first_after_s=0.4).port, [REQUEST])
    load.run_open([place / 100 for place in range(10)])
    load.close()
    assert len(load.latencies_s) == 10
    assert min(load.latencies_s) >= 0.3


def test_answers_are_counted_by_status_and_only_good_ones_have_a_latency(scripted: type[Scripted]) -> None:
    load = Load("127.0.0.1", scripted(OK, BUSY, BUSY, OK).port, [REQUEST])
    load.run_closed(num_connections=1, seconds=0.2)
    load.close()
    assert load.statuses[429] == 2
    assert load.statuses[200] == len(load.latencies_s) > 2


def test_a_server_that_hangs_up_has_failed_and_is_connected_to_again(scripted: type[Scripted]) -> None:
    load = Load("127.0.0.1", scripted(OK, b"", OK).port, [REQUEST])
    load.run_open([0.0, 0.1, 0.2, 0.3])
    load.close()
    assert load.statuses == {200: 3, 0: 1}


def test_a_plan_tells_what_came_of_it_and_what_the_load_took(scripted: type[Scripted], tmp_path: Path) -> None:
    write_requests(tmp_path / "requests", [REQUEST])
    where = {"host": "127.0.0.1", "port": scripted(OK).port, "requests": str(tmp_path / "requests")}
    told = run_plan({**where, "seconds": 0.5, "rate_per_s": 100.0, "seed": 3})
    assert told["num_answers"] == len(draw_arrivals(100.0, 0.5, 3))
    assert told["failures"] == {}
    assert told["latency"]["p50_ms"] <= told["latency"]["p99_ms"] <= told["latency"]["max_ms"]
    assert 0 < told["generator"]["cpu_share"] <= 1.1
    saturated = run_plan({**where, "seconds": 0.2, "num_connections": 2})
    assert saturated["per_second"] > 0


def test_arrivals_rise_come_at_the_rate_and_are_equal_for_equal_seeds() -> None:
    moments = draw_arrivals(1_000.0, 10.0, seed=1)
    assert (np.diff(moments) > 0).all()
    assert moments[-1] < 10.0
    assert abs(len(moments) - 10_000) < 500  # five standard deviations of a Poisson count
    assert abs(np.diff(moments).std() / np.diff(moments).mean() - 1.0) < 0.05  # exponential gaps, not even ones
    assert np.array_equal(moments, draw_arrivals(1_000.0, 10.0, seed=1))
    assert len(draw_arrivals(0.001, 1.0, seed=1)) == 1


def test_percentiles_are_those_of_the_numbers_from_0_to_100() -> None:
    latencies_s = [place / 1_000 for place in range(101)]
    assert summarise(latencies_s) == pytest.approx({"p50_ms": 50, "p90_ms": 90, "p99_ms": 99, "max_ms": 100})
    assert summarise([]) == {}


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_requests(tmp_path / "requests", [REQUEST, b"", b"\x00" * 40_000])
    assert read_requests(tmp_path / "requests") == [REQUEST, b"", b"\x00" * 40_000]


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="Expected answers with a Content-Length, got one without"):
        read_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")
