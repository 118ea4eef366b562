"""What this machine must have before it submits to a cluster: Beam's job server, and the command of the workers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from recsys.errors import ConfigError


def find_jar(jar: Path, cluster: str, target: str, setting: str) -> Path:
    """Returns the absolute path of a job server.

    Args:
      jar: Where the settings say that it lies.
      cluster: What it submits to, for the message.
      target: Of the Makefile, that puts it there.
      setting: That names it.

    Raises:
      ConfigError: If there is none.
    """
    if not jar.is_file():
        raise ConfigError(
            f"Expected Beam's job server for {cluster} at {jar}, got none. Run `make {target}`, or name it by "
            f"`runner.{setting}`."
        )
    return jar.absolute()


def worker_flags(command: str) -> tuple[str, ...]:
    """Returns Beam's flags for workers that the cluster starts as plain processes, each losing only its own work.

    Raises:
      ConfigError: If there is no such command.
    """
    environment = json.dumps({"command": str(find_worker(command))})
    return (
        "--environment_type=PROCESS",
        f"--environment_config={environment}",
        # Else Beam lists the packages of this environment with each job, which takes it seconds.
        "--experiments=disable_logging_submission_environment",
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
            "or name it by `runner.worker_command`; it must lie at the same place on every machine of the cluster."
        )
    return Path(found).absolute()
