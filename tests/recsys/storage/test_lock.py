from __future__ import annotations

import threading

import pytest

from recsys.errors import WorkspaceError
from recsys.storage.lock import hold_lock


def test_one_holds_the_lock_at_a_time(tmp_path):
    inside, most, counted = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with hold_lock(tmp_path / ".lock"):
                with counted:
                    inside += 1
                    most = max(most, inside)
                with counted:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_the_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_lock(tmp_path / ".lock"):
        _ = 1 / 0
    with hold_lock(tmp_path / ".lock"):
        pass


def test_a_lock_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorkspaceError, match=r"file/\.lock"), hold_lock(tmp_path / "file" / ".lock"):
        pass
