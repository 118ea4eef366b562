"""TensorFlow Federated is imported in a process of its own: the one that runs the tests stays free of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
from pathlib import Path
from federated.simulation.execution import execute_on
from federated.simulation.worker import run_worker

before = [callback.__module__ for callback in gc.callbacks]
with run_worker(Path(sys.argv[1]), 60.0) as worker, execute_on(worker):
    print(before, [callback.__module__ for callback in gc.callbacks])
"""


@pytest.mark.federation
def test_no_callback_of_the_collector_can_swallow_a_ctrl_c(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "worker.log")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.stdout.splitlines()[-1:] == ["['jax._src.lib'] []"], run.stderr[-2000:]
