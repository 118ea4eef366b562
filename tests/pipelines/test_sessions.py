from __future__ import annotations

from pathlib import Path

from pipelines.prepare.job import prepare
from pipelines.sessions import fill_sessions
from recsys.config.cloud import PrepareSettings
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.workspace import SESSIONS_FILE, Workspace
from tests.pipelines.conftest import Log, make_events

ITEMS = ["a", "b"]


def prepare_log(log: Log, output_dir: Path, num_events: int) -> Path:
    rows = [{"item_id": ITEMS[time % 2], "timestamp_ms": time} for time in range(num_events)]
    log.write(make_events([*rows, {"user_id": "v", "item_id": "c"}, {"user_id": "w", "action": "impression"}]))
    output_dir.mkdir()
    prepare(log.events, log.items, output_dir, PrepareSettings(num_shards=2))
    return output_dir


def recent(workspace: Workspace, user_id: str, count: int = 1000) -> list[str]:
    store = SQLiteSessionStore(workspace.state / SESSIONS_FILE, 200)
    try:
        return store.recent(user_id, count)
    finally:
        store.close()


def test_the_last_200_positives_of_each_user_are_stored_oldest_first(log: Log, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    assert fill_sessions(workspace, prepare_log(log, tmp_path / "examples", 251)) == 2
    assert recent(workspace, "u") == ["b", "a"] * 100
    assert recent(workspace, "v") == ["c"]
    assert recent(workspace, "w") == []


def test_filling_from_the_same_examples_again_keeps_what_the_server_appended(log: Log, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    examples = prepare_log(log, tmp_path / "examples", 2)
    fill_sessions(workspace, examples)
    store = SQLiteSessionStore(workspace.state / SESSIONS_FILE, 200)
    store.append({"u": ["c"]})
    store.close()
    assert fill_sessions(workspace, examples) == 0
    assert recent(workspace, "u") == ["a", "b", "c"]


def test_other_examples_replace_the_histories(log: Log, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    fill_sessions(workspace, prepare_log(log, tmp_path / "one", 2))
    assert fill_sessions(workspace, prepare_log(log, tmp_path / "two", 3)) == 2
    assert recent(workspace, "u") == ["a", "b", "a"]
