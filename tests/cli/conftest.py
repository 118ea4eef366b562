from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tandem(tmp_path: Path) -> Run:
    """Runs the real command in an empty folder."""
    program = Path(sys.executable).with_name("tandem")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def session_script(tmp_path: Path) -> Run:
    """Runs a few lines of Python inside a session, in a process of their own."""

    def run(body: str, *, as_json: bool = True, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        lines = "".join(f"        {line}\n" for line in body.splitlines())
        code = (
            "import os, signal, subprocess, sys\n"
            "import typer\n"
            "from cli.session import open_session\n"
            "from recsys.errors import BundleError\n"
            "def verb() -> None:\n"
            f"    with open_session({as_json}) as session:\n{lines}"
            "app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)\n"
            "app.command()(verb)\n"
            "app()\n"
        )
        # An earlier test may have loaded what changes its own environment.
        environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        return subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
        )

    return run
