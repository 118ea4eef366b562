from __future__ import annotations

import logging
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException

from pipelines.logs import quiet_logs
from pipelines.runner import read_failure, read_options, run
from recsys.errors import ClusterError, DatasetError
from tests.pipelines.flaky import FlakyRunner


def refuse(element: int) -> int:
    raise DatasetError(f"Expected another number, got {element}.")


def take_table(element: tuple[str, list[pa.Table]]) -> None:
    key, tables = element
    if [table.to_pydict() for table in tables] != [{"n": [1]}]:
        raise DatasetError(f"{key} came as {tables}.")


def test_without_flags_the_runner_is_the_one_in_this_process_which_downloads_nothing() -> None:
    assert read_options(()).view_as(StandardOptions).runner == "FnApiRunner"


def test_a_flag_names_another_runner() -> None:
    assert read_options(("--runner=FlinkRunner",)).view_as(StandardOptions).runner == "FlinkRunner"
    assert read_options(("--job_name=x",)).view_as(StandardOptions).runner == "FnApiRunner"


def test_an_error_of_a_step_arrives_as_it_was_raised_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(DatasetError, match=r"^Expected another number, got 3\.$"):
        run(lambda pipeline: pipeline | beam.Create([3]) | beam.Map(refuse))
    assert capfd.readouterr().out == ""


def test_tables_travel_through_a_shuffle() -> None:
    run(
        lambda pipeline: (
            pipeline
            | beam.Create([1])
            | beam.Map(lambda n: ("key", pa.table({"n": [n]}))).with_output_types(tuple[str, pa.Table])
            | beam.GroupByKey()
            | beam.Map(take_table)
        )
    )


def test_logs_are_muted_only_inside(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("somebody")
    with quiet_logs():
        logger.warning("inside")
        logger.error("loud")
    logger.warning("outside")
    assert [record.message for record in caplog.records] == ["loud", "outside"]


def test_an_error_that_a_cluster_tells_as_text_is_raised_as_it_was() -> None:
    text = (
        "Pipeline x failed in state FAILED: java.lang.RuntimeException: Error received from SDK harness for "
        'instruction 3: Traceback (most recent call last):\n  File "a.py", line 1\n'
        "recsys.errors.DatasetError: Expected another file, got 3.\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "b.py", line 1\n'
        "recsys.errors.DatasetError: Expected another file, got 3. [while running 'Read']\n\n"
        "\tat java.base/java.lang.Thread.run(Thread.java:840)"
    )
    failure = read_failure(text)
    assert (type(failure), str(failure)) == (DatasetError, "Expected another file, got 3.")


@pytest.mark.parametrize("text", ["The\n heartbeat  timed out.", "recsys.errors.annotations: x [while running 'y']"])
def test_any_other_failure_of_a_cluster_names_the_cause_in_one_line(text: str) -> None:
    failure = read_failure(text)
    assert type(failure) is ClusterError
    assert str(failure).startswith(f"Expected the cluster to end the job, got: {' '.join(text.split())} See the logs")


FLAKY = ("--runner=tests.pipelines.flaky.FlakyRunner",)


def test_a_job_that_a_cluster_gives_up_is_begun_again_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runner.RESTART_DELAY_S", 0.0)
    losses = [RuntimeError("A machine is gone."), DataflowRuntimeException("So is another.", None)]
    monkeypatch.setattr(FlakyRunner, "failures", losses)
    made = tmp_path / "made"
    run(lambda pipeline: pipeline | beam.Create(["3"]) | beam.Map(made.write_text), (*FLAKY, "--restarts=2"))
    assert made.read_text() == "3"
    assert FlakyRunner.failures == []


def test_a_job_that_is_given_up_too_often_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runner.RESTART_DELAY_S", 0.0)
    monkeypatch.setattr(FlakyRunner, "failures", [RuntimeError("One."), RuntimeError("Two."), RuntimeError("Three.")])
    with pytest.raises(ClusterError, match=r"^Expected the cluster to end the job, got: Two\. See the logs"):
        run(lambda pipeline: pipeline | beam.Create([3]), (*FLAKY, "--restarts=1"))


def test_an_error_of_a_step_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "recsys.errors.DatasetError: Expected another file, got 3. [while running 'Read']"
    monkeypatch.setattr(FlakyRunner, "failures", [RuntimeError(told), RuntimeError("Not reached.")])
    with pytest.raises(DatasetError, match=r"^Expected another file, got 3\.$"):
        run(lambda pipeline: pipeline | beam.Create([3]), (*FLAKY, "--restarts=2"))
    assert [str(failure) for failure in FlakyRunner.failures] == ["Not reached."]
