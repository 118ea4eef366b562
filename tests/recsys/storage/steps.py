"""Work for child processes that end at a chosen moment, as if killed or as if the disk were full."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from pathlib import Path

from recsys.errors import WorkspaceError
from recsys.storage.atomic import write_file
from recsys.storage.registry import BundleRegistry
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.workspace import Workspace
from tests.suites.bundle import FACTS

_CHANGES = {"open", "write", "__exit__", "mkdir", "rename", "replace", "unlink", "rmdir"}
"""Built-in functions and methods by which a publisher changes files; `__exit__` closes one."""

CHILDREN = multiprocessing.get_context("forkserver")
"""Children start from a clean server, in milliseconds, and not from the many threads of the tests."""
CHILDREN.set_forkserver_preload([__name__])


def run_child(work, *arguments: object) -> int:
    """Runs `work` in a child and returns its exit code; minus the signal where it was killed."""
    child = CHILDREN.Process(target=work, args=arguments)
    child.start()
    child.join()
    return child.exitcode


def publish(root: Path, content: bytes) -> None:
    BundleRegistry(Workspace(root)).publish({"a.bin": content, "b.bin": content * 2}, **FACTS)


def publish_until(root: Path, content: bytes, num_steps: int) -> None:
    """Publishes, but is killed before the call `num_steps` (from 0) that may change the file system."""
    left = num_steps

    def count(_: object, event: str, function: object) -> None:
        nonlocal left
        if event == "c_call" and function.__name__ in _CHANGES:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.setprofile(count)
    publish(root, content)
    os._exit(0)  # Without clean-up, which would be calls too.


def write_beyond_limit(path: Path, limit: int, size_bytes: int, report: Path) -> None:
    """Writes a file although no file may grow beyond `limit`; the error's text goes to `report`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write_file(path, b"x" * size_bytes)
    except WorkspaceError as error:
        report.write_text(str(error), encoding="utf-8")


def publish_beyond_limit(root: Path, limit: int, size_bytes: int, report: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        publish(root, b"x" * size_bytes)
    except WorkspaceError as error:
        report.write_text(str(error), encoding="utf-8")


def append_and_die(path: Path, count: int) -> None:
    """Appends items one by one and is killed right after the last was acknowledged."""
    store = SQLiteSessionStore(path, max_items=1_000)
    for number in range(count):
        store.append({"u": [f"i{number}"]})
    os.kill(os.getpid(), signal.SIGKILL)


def forget_and_die(path: Path) -> None:
    store = SQLiteSessionStore(path, max_items=1_000)
    store.append({"u": ["i1"], "w": ["i2"]})
    store.forget("u")
    os.kill(os.getpid(), signal.SIGKILL)


def append_many(path: Path, user_id: str, count: int) -> None:
    store = SQLiteSessionStore(path, max_items=1_000)
    for number in range(count):
        store.append({user_id: [f"{user_id}{number}"], "all": [f"{user_id}{number}"]})
    store.close()
