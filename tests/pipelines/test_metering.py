from __future__ import annotations

import time
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton

from pipelines.metering import Metered
from pipelines.runner import run


class Halve(beam.DoFn):
    """Yields the two halves of a table, 0.05 s after the first; knows whether it was set up."""

    def __init__(self) -> None:
        self._rows = 0

    def setup(self) -> None:
        self._rows = 2

    def process(self, element: pa.Table) -> Iterator[pa.Table]:
        half = element.num_rows // self._rows
        yield element.slice(0, half)
        time.sleep(0.05)
        yield element.slice(half)


def wait(element: pa.Table, side: int, more: int) -> int:
    time.sleep(0.1)
    return element.num_rows + side + more


def nothing(element: int) -> None:
    return None


def construct(pipeline: beam.Pipeline) -> None:
    side = pipeline | "Side" >> beam.Create([10])
    (
        pipeline
        | beam.Create([pa.table({"n": range(6)}), pa.table({"n": range(4)})])
        | "Halve" >> beam.ParDo(Metered("halve", Halve()))
        | "Wait" >> beam.ParDo(Metered("wait", wait), AsSingleton(side), 100)
        | "Nothing" >> beam.ParDo(Metered("nothing", nothing))
    )


def test_calls_rows_and_a_steps_own_time_are_counted() -> None:
    figures = run(construct)
    counted = {label: (step["calls"], step["rows"]) for label, step in figures.items()}
    assert counted == {"halve": (2, 10), "nothing": (4, 4), "wait": (4, 10)}
    assert 0.1 <= figures["halve"]["busy_seconds"] < 0.4, "the 0.4 s of the step behind it are not its own"
    assert figures["wait"]["busy_seconds"] >= 0.4


def test_steps_that_are_not_metered_are_left_out() -> None:
    assert run(lambda pipeline: pipeline | beam.Create([1])) == {}
