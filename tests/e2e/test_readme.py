"""The commands in README.md do what it says: its marked blocks run in order in one empty folder.

A block is marked by the comment `<!-- test -->` in the line before its fence.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

BLOCK = re.compile(r"^<!-- test -->\n+```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_blocks(text: str) -> list[str]:
    return BLOCK.findall(text)


def test_only_marked_blocks_are_run() -> None:
    text = "```bash\nmake demo\n```\n\n<!-- test -->\n```bash\nls\npwd\n```\n\n<!-- test -->\n\n```bash\ntrue\n```\n"
    assert read_blocks(text) == ["ls\npwd\n", "true\n"]


def test_no_mark_in_the_readme_stands_before_something_else() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- test -->") == len(read_blocks(text))


@pytest.mark.e2e
@pytest.mark.federation
def test_the_readmes_commands_work_in_order(tmp_path: Path) -> None:
    blocks = read_blocks((ROOT / "README.md").read_text())
    assert blocks, "README.md has no block marked with <!-- test -->"
    for number, block in enumerate(blocks, start=1):
        code, output = run_block(block, tmp_path)
        assert code == 0, f"block {number} ended with {code}:\n{block}\n{output}"


def run_block(block: str, folder: Path) -> tuple[int, str]:
    """Runs a block as a person would with the environment activated; returns its exit code and output.

    Whatever the block leaves in the background ends with it.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TANDEM_REPOSITORY": str(ROOT)}
    log = folder / "block.log"
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = shell.wait(300)
        finally:
            end_group(shell.pid)
            shell.wait()
    return code, log.read_text(errors="replace")


def end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
