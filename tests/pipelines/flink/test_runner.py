from __future__ import annotations

from pipelines.flink.runner import OneServerFlinkRunner
from pipelines.runner import read_options

FLAGS = ("--flink_master=localhost:1", "--flink_job_server_jar=server.jar")


def test_all_jobs_of_a_process_share_a_job_server() -> None:
    runner = OneServerFlinkRunner()
    server = runner.default_job_server(read_options(FLAGS))
    assert OneServerFlinkRunner().default_job_server(read_options((*FLAGS, "--job_name=other"))) is server
    assert runner.default_job_server(read_options((*FLAGS, "--flink_master=localhost:2"))) is not server


def test_the_master_is_named_as_the_job_server_wants_it() -> None:
    options = read_options(FLAGS)
    OneServerFlinkRunner().default_job_server(options)
    assert options.get_all_options()["flink_master"] == "http://localhost:1"
