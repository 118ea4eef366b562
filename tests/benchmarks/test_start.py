"""Starts are measured on real processes: a served bundle, and a workspace with nothing to serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.start import bench_start, read_peak_bytes
from recsys.errors import WorkspaceError
from recsys.progress import Silent
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace

__all__ = ["bundled_workspace"]


def test_every_start_but_the_first_is_told(bundled_workspace: Workspace) -> None:
    result = bench_start(bundled_workspace, repeats=2, progress=Silent())
    assert [len(result[name]["runs"]) for name in ("help", "server")] == [2, 2]
    assert 10 * 2**20 < result["server"]["peak_bytes"] < 300 * 2**20
    assert 1e3 * result["server"]["seconds"] > result["server"]["first_answer_ms"] > 0


def test_a_workspace_without_a_bundle_is_refused_before_any_start(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError):
        bench_start(Workspace(tmp_path), repeats=1, progress=Silent())


def test_the_peak_counts_memory_that_was_given_back() -> None:
    code = "held = bytearray(64 * 2**20); del held; print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert 64 * 2**20 < read_peak_bytes(child.pid) < 256 * 2**20
        child.stdin.close()
