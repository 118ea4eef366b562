"""`tandem serve`, as it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace

__all__ = ["bundled_workspace"]


@pytest.mark.parametrize(("told", "expected"), [(None, "1"), ("3", "3")])
def test_its_processes_multiply_in_one_thread_unless_they_are_told_otherwise(
    told: str | None, expected: str, bundled_workspace: Workspace
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {} if told is None else {"OPENBLAS_NUM_THREADS": told}
    command = [str(Path(sys.executable).parent / "tandem"), "serve", "--port", "0", "--workers", "2", "--json"]
    with subprocess.Popen(
        [*command, "--workspace", str(bundled_workspace.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        try:
            assert json.loads(server.stdout.readline())["url"].startswith("http://127.0.0.1:")
            workers = [one for one in psutil.Process(server.pid).children() if "serving.worker" in one.cmdline()]
            assert [one.environ()["OPENBLAS_NUM_THREADS"] for one in workers] == [expected] * 2
        finally:
            server.terminate()
