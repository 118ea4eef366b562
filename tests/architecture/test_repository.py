"""What a clone carries: no trace of a machine or of an index, a README in every top folder, locks with hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Spelled in pieces, so that this file does not find itself.
MACHINE_PATH = re.compile("/(?:" + "|".join(["home/[a-z]", "Users/[A-Z]", "root" + "/", "work" + "/"]) + ")")
INDEX_HOST = re.compile("py" + r"pi\.org|python" + r"hosted\.org|--(?:extra-)?index" + "-url|--find" + "-links")
PINNED = re.compile(r"[A-Za-z0-9._-]+==\S+( ;[^-]*)?\s+--hash=sha256:[0-9a-f]{64}")
LOCKS = ("all", "serving", "device", "bootstrap")


def test_no_file_names_a_path_of_somebodys_machine(tracked: list[Path]) -> None:
    assert find(MACHINE_PATH, tracked) == []


def test_no_file_names_a_package_index(tracked: list[Path]) -> None:
    assert find(INDEX_HOST, tracked) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("see /home" + "/ada/data")
    assert INDEX_HOST.search("https://files.python" + "hosted.org/x")


def test_every_top_folder_has_a_readme(tracked: list[Path], root: Path) -> None:
    folders = {path.relative_to(root).parts[0] for path in tracked if len(path.relative_to(root).parts) > 1}
    visible = {folder for folder in folders if not folder.startswith(".")}
    assert {folder for folder in visible if not (root / folder / "README.md").is_file()} == set()


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_of_a_lock_is_pinned_and_hashed(name: str, root: Path) -> None:
    text = (root / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    assert [line[:60] for line in lines if not PINNED.match(line)] == []


@pytest.mark.parametrize("name", ["serving", "device", "bootstrap"])
def test_a_small_lock_has_the_versions_of_the_large_one(name: str, root: Path) -> None:
    large, small = (read_pins(root / "requirements" / f"{lock}.txt") for lock in ("all", name))
    shared = set(small) - {"uv"}
    assert {package: large.get(package) for package in shared} == {package: small[package] for package in shared}


@pytest.mark.parametrize("name", ["serving", "device"])
def test_a_small_lock_has_no_training_framework(name: str, root: Path) -> None:
    pins = read_pins(root / "requirements" / f"{name}.txt")
    assert set(pins) & {"tensorflow", "tensorflow-federated", "tensorflow-recommenders", "apache-beam", "jax"} == set()


def find(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary test data
        found += [f"{path}: {match.group()}" for match in pattern.finditer(text)]
    return found


def read_pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE))
