"""Beam's runner for Flink, but for its job server: a Java process that Beam starts anew for each job of a process."""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.job_server import JobServer, StopOnExitJobServer

_SERVERS: dict[tuple[Any, ...], JobServer] = {}


class OneServerFlinkRunner(FlinkRunner):
    """Submits to a Flink cluster. All jobs of a process share a job server, as Beam has it for Spark."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Returns the job server for these flags, started or not; it ends with the process."""
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = self.add_http_scheme(flink.flink_master)
        key = (flink.flink_job_server_jar, flink.flink_master)
        if key not in _SERVERS:
            _SERVERS[key] = StopOnExitJobServer(FlinkJarJobServer(options))
        return _SERVERS[key]
