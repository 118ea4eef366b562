from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PortableOptions, SparkRunnerOptions, StandardOptions

from pipelines.flags import flags_of
from pipelines.runner import read_options
from pipelines.spark.flags import check_master
from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError


def test_beam_understands_the_flags_for_spark(worker_command: Path, tmp_path: Path) -> None:
    jar = tmp_path / "job-server.jar"
    jar.touch()
    settings = RunnerSettings(
        name="spark", spark_master="local[3]", spark_job_server_jar=jar, worker_command=str(worker_command)
    )
    options = read_options(flags_of(settings))
    assert options.view_as(StandardOptions).runner == "SparkRunner"
    spark = options.view_as(SparkRunnerOptions)
    assert (spark.spark_master_url, spark.spark_job_server_jar) == ("local[3]", str(jar))
    portable = options.view_as(PortableOptions)
    assert portable.environment_type == "PROCESS"
    assert json.loads(portable.environment_config) == {"command": str(worker_command)}


def test_without_a_job_server_the_command_that_makes_it_is_named(tmp_path: Path) -> None:
    settings = RunnerSettings(name="spark", spark_job_server_jar=tmp_path / "nowhere.jar")
    with pytest.raises(ConfigError, match=r"job server for Spark at .*, got none\. Run `make spark-jar`"):
        flags_of(settings)


def test_a_master_that_listens_is_found_and_one_that_does_not_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_master(f"spark://127.0.0.1:{server.getsockname()[1]}")
    with pytest.raises(ConfigError, match=r"Expected a Spark master at spark://127\.0\.0\.1:1, got: .*refused"):
        check_master("spark://127.0.0.1:1")


@pytest.mark.parametrize("master", ["local", "local[4]", "local[*]"])
def test_spark_inside_the_job_server_is_always_there(master: str) -> None:
    check_master(master)


@pytest.mark.parametrize("master", ["yarn", "spark://host", "host:7077", "local[x]", ""])
def test_other_masters_are_refused(master: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected `runner\.spark_master` as spark://HOST:PORT or local\[N\], got"):
        check_master(master)
