"""Beam's runner for Flink, with what Beam leaves out of batch jobs: one that loses a task manager is begun again.

Beam tells only streaming jobs of `--number_of_execution_retries`. A batch job restarts as Flink's own configuration
says, which the job server reads from a folder and hands over with each job.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.job_server import JobServer, StopOnExitJobServer

CONFIGURATION_VARIABLE: Final = "FLINK_CONF_DIR"
"""Names a folder with a configuration of Flink's own; where it is set, that one rules, and ours is not written."""

RESTART_DELAY_S: Final = 10
"""Longer than a lost task manager is still believed to be there, so that no restart is wasted on its slots."""

_SERVERS: dict[tuple[str, str, int], JobServer] = {}


class RestartOptions(PipelineOptions):
    """What the runner of this module takes beside Beam's own flags."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--flink_restarts", type=int, default=0, help="How often a batch job is begun again.")


class RestartingFlinkRunner(FlinkRunner):
    """Submits to a Flink cluster. All jobs of a process share a job server, which ends with the process."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Returns the job server for these flags, started or not."""
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = self.add_http_scheme(flink.flink_master)
        restarts = options.view_as(RestartOptions).flink_restarts
        key = (flink.flink_job_server_jar, flink.flink_master, restarts)
        if key not in _SERVERS:
            _SERVERS[key] = StopOnExitJobServer(RestartingJobServer(options, restarts))
        return _SERVERS[key]


class RestartingJobServer(FlinkJarJobServer):
    """Beam's job server for Flink, with restarts in the configuration of its jobs."""

    def __init__(self, options: PipelineOptions, num_restarts: int) -> None:
        """Starts nothing yet."""
        super().__init__(options)
        self._num_restarts = num_restarts

    def java_arguments(self, job_port: int, artifact_port: int, expansion_port: int, artifacts_dir: str) -> list[Any]:
        """Returns what the server is started with; the configuration goes with the server's temporary folder."""
        arguments = super().java_arguments(job_port, artifact_port, expansion_port, artifacts_dir)
        if CONFIGURATION_VARIABLE in os.environ:
            return arguments
        folder = Path(self.local_temp_dir(prefix="configuration"))
        (folder / "flink-conf.yaml").write_text(describe_restarts(self._num_restarts), encoding="utf-8")
        return [*arguments, "--flink-conf-dir", str(folder)]


def describe_restarts(num_restarts: int) -> str:
    """Returns Flink's configuration of a job that is begun again so often."""
    if num_restarts == 0:
        return "restart-strategy.type: none\n"
    return (
        "restart-strategy.type: fixed-delay\n"
        f"restart-strategy.fixed-delay.attempts: {num_restarts}\n"
        f"restart-strategy.fixed-delay.delay: {RESTART_DELAY_S} s\n"
    )
