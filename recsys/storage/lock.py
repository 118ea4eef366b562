"""One writer at a time, across threads and processes of one machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.storage.atomic import explain_disk_errors


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Waits for, then holds the lock file `path`. The system frees it when the process ends, however it ends.

    Raises:
      WorkspaceError: If the lock file cannot be made.
    """
    with explain_disk_errors(path, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Holds the lock file `path` if nobody else does, and tells whether it is held; never waits.

    Raises:
      WorkspaceError: If the lock file cannot be made.
    """
    with explain_disk_errors(path, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
