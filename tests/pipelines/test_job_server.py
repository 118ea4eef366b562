from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.job_server import find_jar, find_worker, worker_flags
from recsys.errors import ConfigError


def test_a_worker_is_found_by_its_path_or_on_the_path(worker_command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_worker(str(worker_command)) == worker_command
    monkeypatch.setenv("PATH", str(worker_command.parent))
    assert find_worker("worker") == worker_command


def test_a_worker_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ConfigError, match="Expected the command 'no-such-worker' beside"):
        find_worker("no-such-worker")


def test_workers_are_plain_processes(worker_command: Path) -> None:
    kind, environment, _ = worker_flags(str(worker_command))
    assert kind == "--environment_type=PROCESS"
    assert environment == f'--environment_config={{"command": "{worker_command}"}}'


def test_a_job_server_that_is_nowhere_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job server for X at .*, got none\. Run `make x`, or .* by `runner\.x_jar`"):
        find_jar(tmp_path / "nowhere.jar", "X", "x", "x_jar")
    assert find_jar(Path(__file__), "X", "x", "x_jar") == Path(__file__)
