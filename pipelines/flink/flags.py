"""From the settings of the runner to Beam's flags; what can be checked before a job is submitted is checked here."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Final

from recsys.config.cloud import RunnerSettings
from recsys.errors import ConfigError

ANSWER_TIMEOUT_S: Final = 10.0


def flags_of(settings: RunnerSettings) -> tuple[str, ...]:
    """Returns Beam's flags for a runner; none for the embedded one.

    Raises:
      ConfigError: If the job server or the worker command is not there, or no Flink cluster with a free slot answers.
    """
    if settings.name == "embedded":
        return ()
    jar, worker = _find_job_server(settings), find_worker(settings.worker_command)
    check_cluster(settings.flink_master)
    return (
        "--runner=FlinkRunner",
        f"--flink_master={settings.flink_master}",
        f"--flink_job_server_jar={jar}",
        f"--parallelism={settings.parallelism}",
        # Each task manager starts a Python of its own, so that losing one loses only its work.
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': str(worker)})}",
        # Flink itself does not start a batch job again unless it is told to.
        f"--number_of_execution_retries={settings.num_restarts}",
        "--execution_retry_delay=1000",
    )


def find_worker(command: str) -> Path:
    """Returns the absolute path of the worker's command: beside this Python, on the PATH, or where it says.

    Raises:
      ConfigError: If there is none.
    """
    beside = Path(sys.executable).parent / command
    found = str(beside) if beside.is_file() else shutil.which(command)
    if found is None:
        raise ConfigError(
            f"Expected the command {command!r} beside {sys.executable} or on the PATH, got none. Run `make setup`, "
            "or name it by `runner.worker_command`; it must lie at the same place on every task manager."
        )
    return Path(found).absolute()


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


def _find_job_server(settings: RunnerSettings) -> Path:
    jar = settings.flink_job_server_jar
    if not jar.is_file():
        raise ConfigError(
            f"Expected Beam's job server for Flink at {jar}, got none. Run `make flink-jars`, or name it by "
            "`runner.flink_job_server_jar`."
        )
    return jar.absolute()
