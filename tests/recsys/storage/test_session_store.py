from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import pytest

from recsys.errors import WorkspaceError
from recsys.storage.session_store import SQLiteSessionStore
from tests.recsys.storage.steps import CHILDREN, append_and_die, append_many, forget_and_die, run_child
from tests.suites.store import SessionStoreLaws


class TestSQLiteSessionStore(SessionStoreLaws):
    def open(self, path, max_items, **more):
        return SQLiteSessionStore(path, max_items, **more)


def test_a_file_from_before_users_had_a_time_begins_to_count_when_it_is_opened(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 5)
    store.append({"u": ["a"]})
    store.close()
    with closing(sqlite3.connect(tmp_path / "store")) as database, database:
        database.execute("DROP TABLE touched")
    again = SQLiteSessionStore(tmp_path / "store", 5, ttl_s=60.0)
    assert again.recent("u", 5) == ["a"]
    again.close()


def test_the_rows_of_those_whose_time_is_over_leave_the_file(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 5, ttl_s=0.05)
    store.append({"gone-user": ["a"]})
    time.sleep(0.1)
    store.append({"v": ["b"]})
    with closing(sqlite3.connect(tmp_path / "store")) as database:
        assert database.execute("SELECT user_id FROM session").fetchall() == [("v",)]
    store.close()


def test_users_with_a_history_are_listed_by_id_up_to_a_count(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 10)
    store.append({"w": ["i1", "i2"], "u": ["i1"], "v": ["i3"]})
    assert (store.user_ids(2), store.user_ids(9), store.user_ids(0)) == (["u", "v"], ["u", "v", "w"], [])
    store.forget("v")
    assert store.user_ids(9) == ["u", "w"]
    store.close()


def test_what_was_acknowledged_outlives_a_killed_process(tmp_path):
    path = tmp_path / "store"
    assert run_child(append_and_die, path, 30) == -signal.SIGKILL
    store = SQLiteSessionStore(path, 1_000)
    assert store.recent("u", 100) == [f"i{number}" for number in range(30)]
    store.close()


def test_who_was_forgotten_stays_so_when_the_process_is_killed(tmp_path):
    path = tmp_path / "store"
    assert run_child(forget_and_die, path) == -signal.SIGKILL
    store = SQLiteSessionStore(path, 1_000)
    assert (store.recent("u", 5), store.recent("w", 5)) == ([], ["i2"])
    store.close()


def test_processes_may_append_at_once(tmp_path):
    path = tmp_path / "store"
    children = [CHILDREN.Process(target=append_many, args=(path, user, 15)) for user in "uvw"]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    store = SQLiteSessionStore(path, 1_000)
    for user in "uvw":
        assert store.recent(user, 100) == [f"{user}{number}" for number in range(15)]
    assert len(store.recent("all", 100)) == 45
    store.close()


def test_no_byte_of_a_forgotten_user_is_left_on_the_disk(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 50)
    store.append({"user-to-forget": [f"secret-{number}" for number in range(50)], "other": ["plain-item"]})
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"user-to-forget" in on_disk
    store.forget("user-to-forget")
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"user-to-forget" not in on_disk
    assert b"secret-" not in on_disk
    assert b"plain-item" in on_disk
    store.close()


def test_the_file_holds_no_more_than_the_bound(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 3)
    for number in range(20):
        store.append({"u": [f"i{number}"], "v": ["a", "b", "c", "d"]})
    store.close()
    with sqlite3.connect(tmp_path / "store") as connection:
        counts = connection.execute("SELECT user_id, COUNT(*) FROM session GROUP BY user_id ORDER BY user_id")
        assert counts.fetchall() == [("u", 3), ("v", 3)]
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "store").write_bytes(b"this is a text and no database at all" * 100)
    with pytest.raises(WorkspaceError, match=r"open the session store .*store, got: file is not a database"):
        SQLiteSessionStore(tmp_path / "store", 5)
    assert (tmp_path / "store").read_bytes().startswith(b"this is a text")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorkspaceError, match=r"open the session store .*file/store, got: .*(Not a directory|exists)"):
        SQLiteSessionStore(tmp_path / "file" / "store", 5)


def test_a_closed_store_says_so(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 5)
    store.close()
    with pytest.raises(WorkspaceError, match=r"Expected to read the session store .* closed"):
        store.recent("u", 5)
    with pytest.raises(WorkspaceError, match=r"Expected to write the session store .* closed"):
        store.append({"u": ["a"]})


def test_a_failed_write_keeps_nothing_of_it(tmp_path):
    store = SQLiteSessionStore(tmp_path / "store", 5)
    with sqlite3.connect(tmp_path / "store") as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON session WHEN NEW.item_id = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END"
        )
    connection.close()
    with pytest.raises(WorkspaceError, match=r"write the session store .* the disk is on fire"):
        store.append({"u": ["a"], "v": ["b", "bad"]})
    assert (store.recent("u", 5), store.recent("v", 5)) == ([], [])
    store.append({"u": ["c"]})
    assert store.recent("u", 5) == ["c"]
    store.close()
