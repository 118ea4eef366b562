from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PortableOptions, StandardOptions

from pipelines.flags import flags_of
from pipelines.flink.flags import check_cluster
from pipelines.runner import RestartOptions, read_options
from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError


@contextmanager
def listen(content: bytes) -> Iterator[str]:
    """A server that answers `/overview` with `content`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/overview" else 404)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_beam_understands_the_flags_for_flink(worker_command: Path, tmp_path: Path) -> None:
    jar = tmp_path / "job-server.jar"
    jar.touch()
    with listen(b'{"slots-total": 4}') as master:
        settings = RunnerSettings(
            name="flink",
            flink_master=master,
            flink_job_server_jar=jar,
            worker_command=str(worker_command),
            parallelism=3,
            num_restarts=5,
        )
        options = read_options(flags_of(settings))
    assert options.view_as(StandardOptions).runner == "pipelines.flink.runner.OneServerFlinkRunner"
    flink = options.view_as(FlinkRunnerOptions)
    assert (flink.flink_master, flink.flink_job_server_jar, flink.parallelism) == (master, str(jar), 3)
    assert options.view_as(RestartOptions).restarts == 5
    portable = options.view_as(PortableOptions)
    assert portable.environment_type == "PROCESS"
    assert json.loads(portable.environment_config) == {"command": str(worker_command)}


def test_without_a_job_server_the_command_that_makes_it_is_named(tmp_path: Path) -> None:
    settings = RunnerSettings(name="flink", flink_job_server_jar=tmp_path / "nowhere.jar")
    with pytest.raises(ConfigError, match=r"got none\. Run `make flink-jars`"):
        flags_of(settings)


def test_a_cluster_that_does_not_answer_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Expected a Flink cluster at http://127\.0\.0\.1:1, got: .*refused"):
        check_cluster("127.0.0.1:1")


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"slots-total": null}', b"{}"])
def test_something_else_that_answers_is_no_cluster(content: bytes) -> None:
    with listen(content) as master, pytest.raises(ConfigError, match="Expected a Flink cluster at"):
        check_cluster(f"http://{master}")


def test_a_cluster_without_task_managers_is_refused() -> None:
    with listen(b'{"slots-total": 0}') as master, pytest.raises(ConfigError, match="Expected task managers at"):
        check_cluster(master)
