"""From the settings of the runner to Beam's flags for Flink; what can be checked before a job is submitted is."""

from __future__ import annotations

import json
import urllib.request
from typing import Final

from pipelines.job_server import find_jar, worker_flags
from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError

RUNNER: Final = "pipelines.flink.runner.OneServerFlinkRunner"
ANSWER_TIMEOUT_S: Final = 10.0


def flink_flags(settings: RunnerSettings) -> tuple[str, ...]:
    """Returns Beam's flags.

    Raises:
      ConfigError: If the job server or the worker command is not there, or no Flink cluster with a free slot answers.
    """
    jar = find_jar(settings.flink_job_server_jar, "Flink", "flink-jars", "flink_job_server_jar")
    workers = worker_flags(settings.worker_command)
    check_cluster(settings.flink_master)
    return (
        f"--runner={RUNNER}",
        f"--flink_master={settings.flink_master}",
        f"--flink_job_server_jar={jar}",
        f"--parallelism={settings.parallelism}",
        f"--restarts={settings.num_restarts}",
        *workers,
    )


def check_cluster(master: str) -> None:
    """Asks the cluster for its task slots.

    Raises:
      ConfigError: If nothing answers as a Flink cluster does, or it has no slot.
    """
    address = master if "://" in master else f"http://{master}"
    advice = "Start a cluster, or name it by `runner.flink_master`."
    try:
        with urllib.request.urlopen(f"{address}/overview", timeout=ANSWER_TIMEOUT_S) as answer:
            num_slots = int(json.load(answer)["slots-total"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"Expected a Flink cluster at {address}, got: {error}. {advice}") from error
    if num_slots == 0:
        raise ConfigError(f"Expected task managers at the Flink cluster {address}, got none. {advice}")
