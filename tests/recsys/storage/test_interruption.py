"""A publisher that is killed at any step loses nothing, and the next one succeeds."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from recsys.errors import WorkspaceError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.recsys.storage.steps import CHILDREN, publish, publish_until, run_child

KILLED = -signal.SIGKILL


def find_partials(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".*") if path.name != ".lock"]


def check_sound(registry: BundleRegistry, before: list[str]) -> None:
    """Whatever was interrupted: every listed version opens, and `current` is one of them or was never there."""
    assert registry.versions()[: len(before)] == before
    for version in registry.versions():
        registry.open(version)
    try:
        assert registry.current().manifest.version in registry.versions()
    except WorkspaceError:
        assert before == []


@pytest.mark.parametrize("num_before", [0, 1])
def test_a_publisher_killed_at_any_step_leaves_no_trace_or_a_whole_bundle(tmp_path, num_before):
    num_steps, exit_code = 0, KILLED
    while exit_code == KILLED:
        root = tmp_path / str(num_steps)
        registry = BundleRegistry(Workspace(root))
        for number in range(num_before):
            publish(root, bytes([number]))
        before = registry.versions()
        exit_code = run_child(publish_until, root, b"new", num_steps)
        check_sound(registry, before)
        publish(root, b"new")
        assert registry.current().read_bytes("a.bin") == b"new"
        assert len(registry.versions()) == num_before + 1
        assert find_partials(root) == []
        num_steps += 1
    assert exit_code == 0
    assert num_steps > 20  # It was killed at that many steps before it came through.


def test_a_publisher_killed_at_a_random_moment_leaves_no_trace_or_a_whole_bundle(tmp_path):
    root, moments = tmp_path / "workspace", random.Random(1)
    registry = BundleRegistry(Workspace(root))
    for number in range(12):
        before, content = registry.versions(), bytes([number]) * 2_000_000
        child = CHILDREN.Process(target=publish, args=(root, content))
        child.start()
        time.sleep(moments.uniform(0.0, 0.08))
        child.kill()
        child.join()
        check_sound(registry, before)
        publish(root, content)
        assert registry.current().read_bytes("a.bin") == content
        assert len(registry.versions()) == number + 1
        assert find_partials(root) == []


def test_processes_that_publish_at_once_each_get_a_number(tmp_path):
    children = [CHILDREN.Process(target=publish, args=(tmp_path, bytes([number]))) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    registry = BundleRegistry(Workspace(tmp_path))
    assert [child.exitcode for child in children] == [0] * 6
    assert [version[:5] for version in registry.versions()] == [f"{number:04d}-" for number in range(1, 7)]
    assert {registry.open(version).read_bytes("a.bin") for version in registry.versions()} == {
        bytes([number]) for number in range(6)
    }
    assert registry.current_version() == registry.versions()[-1]
