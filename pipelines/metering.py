"""Counters and timings of the steps of a pipeline, the same on every runner: Beam's own counters, one set per step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.runners.runner import PipelineResult
from apache_beam.typehints.decorators import IOTypeHints

NAMESPACE: Final = "tandem"
CALLS: Final = "calls"
ROWS: Final = "rows"
BUSY: Final = "busy_us"


class Meter:
    """The counters of one step."""

    def __init__(self, label: str) -> None:
        """Names the counters by the step's label."""
        self._calls, self._rows, self._busy = (
            Metrics.counter(NAMESPACE, f"{label}/{name}") for name in (CALLS, ROWS, BUSY)
        )

    def begin_call(self, num_rows: int) -> None:
        """Counts a call and what it was given."""
        self._calls.inc()
        self._rows.inc(num_rows)

    def add_time(self, begin_ns: int) -> None:
        """Counts the time since `begin_ns` on `time.perf_counter_ns`."""
        self._busy.inc((time.perf_counter_ns() - begin_ns) // 1000)


class Metered(beam.DoFn):
    """Runs a step and counts its calls, the rows of the tables that it is given, and the time that it takes.

    The time is the step's alone: while its output is taken on by the steps behind it, the clock stands.
    """

    def __init__(self, label: str, step: beam.DoFn | Callable[..., Any]) -> None:
        """Keeps the step, or a function that returns one output, under a label."""
        self._step = step
        self._meter = Meter(label)

    def default_type_hints(self) -> IOTypeHints:
        """Promises nothing: how many side inputs there are depends on the step."""
        return IOTypeHints.empty()

    def setup(self) -> None:
        """Sets the step up."""
        if isinstance(self._step, beam.DoFn):
            self._step.setup()

    def process(self, element: Any, *args: Any) -> Iterator[Any]:
        """Yields what the step yields; `args` are its side inputs."""
        self._meter.begin_call(element.num_rows if isinstance(element, pa.Table) else 1)
        begin = time.perf_counter_ns()
        outputs = iter(self._apply(element, *args))
        for output in outputs:
            self._meter.add_time(begin)
            yield output
            begin = time.perf_counter_ns()
        self._meter.add_time(begin)

    def teardown(self) -> None:
        """Lets the step clear up."""
        if isinstance(self._step, beam.DoFn):
            self._step.teardown()

    def _apply(self, element: Any, *args: Any) -> Iterable[Any]:
        if isinstance(self._step, beam.DoFn):
            return self._step.process(element, *args) or ()
        return (self._step(element, *args),)


def read_figures(result: PipelineResult) -> dict[str, dict[str, float]]:
    """Returns, by label of a metered step, its `calls`, `rows` and `busy_seconds`, summed over all workers."""
    figures: dict[str, dict[str, float]] = {}
    for counter in result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]:
        label, _, name = counter.key.metric.name.rpartition("/")
        step = figures.setdefault(label, {})
        step[name] = step.get(name, 0) + (counter.attempted if counter.attempted is not None else counter.committed)
    return {
        label: {CALLS: step[CALLS], ROWS: step[ROWS], "busy_seconds": round(step[BUSY] / 1e6, 3)}
        for label, step in sorted(figures.items())
    }
