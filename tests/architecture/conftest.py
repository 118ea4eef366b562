from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("recsys", "data", "pipelines", "federated", "serving", "benchmarks", "cli")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file of the repository as a clone would have it, new ones too; without git, every file of the rooms."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        paths = [path for room in (*ROOMS, "tests", "requirements") for path in (ROOT / room).rglob("*")]
        paths += [path for path in ROOT.iterdir() if path.is_file()]
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


@pytest.fixture(scope="session")
def modules(tracked: list[Path]) -> list[Path]:
    """The Python files of the rooms, without tests."""
    found = [path for path in tracked if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ROOMS]
    assert len(found) > 50
    return found
