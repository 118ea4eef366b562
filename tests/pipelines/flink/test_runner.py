from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.flink.runner import RestartingFlinkRunner, RestartingJobServer, describe_restarts
from pipelines.runner import read_options

FLAGS = ("--flink_master=localhost:1", "--flink_job_server_jar=server.jar", "--flink_restarts=2")


def read_configuration(arguments: list[str]) -> str:
    return (Path(arguments[arguments.index("--flink-conf-dir") + 1]) / "flink-conf.yaml").read_text()


def test_the_job_server_is_told_how_often_a_job_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLINK_CONF_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    arguments = RestartingJobServer(read_options(FLAGS), 2).java_arguments(1, 2, 3, "artifacts")
    assert arguments[:2] == ["--flink-master", "localhost:1"]
    assert read_configuration(arguments) == (
        "restart-strategy.type: fixed-delay\n"
        "restart-strategy.fixed-delay.attempts: 2\n"
        "restart-strategy.fixed-delay.delay: 10 s\n"
    )


def test_a_job_that_is_not_begun_again_says_so() -> None:
    assert describe_restarts(0) == "restart-strategy.type: none\n"


def test_flinks_own_configuration_rules_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLINK_CONF_DIR", "somewhere")
    arguments = RestartingJobServer(read_options(FLAGS), 2).java_arguments(1, 2, 3, "artifacts")
    assert "--flink-conf-dir" not in arguments


def test_all_jobs_of_a_process_share_a_job_server() -> None:
    runner = RestartingFlinkRunner()
    server = runner.default_job_server(read_options(FLAGS))
    assert RestartingFlinkRunner().default_job_server(read_options((*FLAGS, "--job_name=other"))) is server
    assert runner.default_job_server(read_options((*FLAGS, "--flink_restarts=0"))) is not server
