"""From the settings of the runner to Beam's flags for Spark."""

from __future__ import annotations

import re
import socket
from typing import Final

from pipelines.job_server import find_jar, worker_flags
from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError

CONNECT_TIMEOUT_S: Final = 10.0

_STANDALONE: Final = re.compile(r"spark://([^:/]+):(\d+)")
_LOCAL: Final = re.compile(r"local(\[(\d+|\*)\])?")


def spark_flags(settings: RunnerSettings) -> tuple[str, ...]:
    """Returns Beam's flags. How many parts of a job run at once is up to the master's cores.

    Raises:
      ConfigError: If the job server or the worker command is not there, or no Spark master answers.
    """
    jar = find_jar(settings.spark_job_server_jar, "Spark", "spark-jar", "spark_job_server_jar")
    workers = worker_flags(settings.worker_command)
    check_master(settings.spark_master)
    return (
        "--runner=SparkRunner",
        f"--spark_master_url={settings.spark_master}",
        f"--spark_job_server_jar={jar}",
        f"--restarts={settings.num_restarts}",
        *workers,
    )


def check_master(master: str) -> None:
    """Knocks at the master; Spark inside the job server (`local[N]`) is always there.

    Raises:
      ConfigError: If it is no address of a master, or nothing listens there.
    """
    if _LOCAL.fullmatch(master):
        return
    found = _STANDALONE.fullmatch(master)
    if found is None:
        raise ConfigError(f"Expected `runner.spark_master` as spark://HOST:PORT or local[N], got {master!r}.")
    try:
        socket.create_connection((found[1], int(found[2])), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"Expected a Spark master at {master}, got: {error}. Start it, or name it by `runner.spark_master`."
        ) from error
