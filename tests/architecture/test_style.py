"""Ruff and mypy have nothing to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "--quiet", "."), ("ruff", "format", "--check", "--quiet", "."), ("mypy",)],
    ids=["ruff check", "ruff format", "mypy of layers 0 and 1"],
)
def test_the_checker_is_silent(command: tuple[str, ...], root: Path) -> None:
    program, *arguments = command
    run = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments], cwd=root, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
