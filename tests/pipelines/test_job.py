from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.job import train
from pipelines.sessions import SOURCE_FILE
from recsys.cascade.cloud import CloudModel
from recsys.config.cloud import CloudSettings, IndexSettings, RunnerSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts.bundle import Manifest
from recsys.errors import ConfigError, TrainingError, WorkspaceError
from recsys.progress import Silent
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.workspace import SESSIONS_FILE, Workspace
from tests.pipelines.conftest import TINY_CLOUD, make_events

STAGES = ["prepare", "statistics", "recount", "retrieval", "ranker", "device", "embed", "teacher", "index"]

REPOSITORY = Path(__file__).resolve().parents[2]

RERUN = """
import sys
from pathlib import Path
from pipelines.job import train
from pipelines.sessions import SOURCE_FILE
from recsys.progress import Silent
from recsys.storage.workspace import SESSIONS_FILE, Workspace
from tests.pipelines.conftest import TINY_CLOUD

modules = set(sys.modules)
bundle = train(Workspace(Path(sys.argv[1])), TINY_CLOUD, 7, Silent())
heavy = {"tensorflow", "apache_beam", "faiss"} & set(sys.modules)
sys.stderr.write(f"{bundle.manifest.version} {sorted(heavy)}")
"""


def read_report(workspace: Workspace, manifest: Manifest) -> dict:
    return json.loads((workspace.reports / f"train-{manifest.version}.json").read_text())


def reused(workspace: Workspace, bundle: Bundle) -> list[str]:
    return [stage["name"] for stage in read_report(workspace, bundle.manifest)["stages"] if stage["reused"]]


def link(workspace: Workspace, root: Path) -> Workspace:
    """A workspace of its own over the same data and stages."""
    root.mkdir()
    for name in ("events", "catalogue", "dataset.json", "examples", "models"):
        (root / name).symlink_to(workspace.root / name)
    return Workspace(root)


def test_the_job_publishes_a_bundle_that_can_be_served(tiny_workspace: Workspace, trained: Bundle) -> None:
    opened = BundleRegistry(tiny_workspace).current()
    assert opened.manifest == trained.manifest
    manifest, card = opened.manifest, tiny_workspace.read_card()
    assert sorted(manifest.files) == [
        "device_tower.npz",
        "device_tower.tflite",
        "device_tower_int8.tflite",
        "device_tower_training.tflite",
        "embeddings.parquet",
        "index.faiss",
        "item_to_item.parquet",
        "item_tower.tflite",
        "items.parquet",
        "query_tower.tflite",
        "query_tower_int8.tflite",
        "ranker.tflite",
        "responses.parquet",
        "rooms.parquet",
        "vocabulary.parquet",
    ]
    assert (manifest.dataset, manifest.split_fingerprint) == (card.name, card.split_fingerprint)
    assert (manifest.dim, manifest.history_length, manifest.num_items, manifest.parent) == (8, 10, 68, None)
    assert manifest.metrics["index_recall_at_100"] == 1.0
    assert "retrieval_ndcg_at_10" in manifest.metrics
    assert CloudModel.load(opened).vectors.shape == (69, 8)


def test_a_rerun_clears_what_a_killed_run_had_begun_to_write(
    tiny_workspace: Workspace, trained: Bundle, tmp_path: Path
) -> None:
    workspace = link(tiny_workspace, tmp_path / "killed")
    version = train(workspace, TINY_CLOUD, 7, Silent()).manifest.version
    written = (workspace.reports / f"train-{version}.json", workspace.teacher(version), workspace.state / SOURCE_FILE)
    begun = [path.with_name(f".{path.name}.0123456789ab.partial") for path in written]
    for path in begun:
        path.write_bytes(b"half")
    assert train(workspace, TINY_CLOUD, 7, Silent()).manifest.version == version
    assert [path for path in begun if path.exists()] == []


def test_the_report_tells_stages_counters_and_metrics(tiny_workspace: Workspace, trained: Bundle) -> None:
    report = read_report(tiny_workspace, trained.manifest)
    assert [stage["name"] for stage in report["stages"]] == [
        "prepare",
        "statistics",
        "recount",
        "retrieval",
        "ranker",
        "device",
        "embed",
        "teacher",
        "index",
    ]
    assert report["counters"]["rows_in"] == tiny_workspace.read_card().num_consented
    assert report["counters"]["users"] == 40
    assert report["metrics"]["index_recall_at_100"] == 1.0
    assert (report["seed"], report["version"]) == (7, trained.manifest.version)


def test_the_report_counts_and_times_the_steps_of_each_beam_stage(tiny_workspace: Workspace, trained: Bundle) -> None:
    report = read_report(tiny_workspace, trained.manifest)
    steps = {stage["name"]: stage["steps"] for stage in report["stages"] if stage["steps"]}
    assert sorted(steps) == ["embed", "prepare", "recount", "statistics"]
    assert sorted(steps["embed"]) == ["embed", "read items", "write vectors"]
    assert steps["embed"]["embed"]["rows"] == trained.manifest.num_items
    assert steps["prepare"]["validate"]["rows"] == report["counters"]["rows_in"]
    assert steps["prepare"]["count items"]["rows"] == report["counters"]["train"]
    assert steps["statistics"]["count pairs"]["calls"] == 2, "one call for each part of the examples"
    assert all(step["busy_seconds"] >= 0 for stage in steps.values() for step in stage.values())


def test_a_runner_that_is_not_there_is_told_before_anything_is_written(
    tiny_workspace: Workspace, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir()
    for name in ("events", "catalogue", "dataset.json"):
        (workspace.root / name).symlink_to(tiny_workspace.root / name)
    settings = TINY_CLOUD.model_copy(
        update={"runner": RunnerSettings(name="flink", flink_job_server_jar=tmp_path / "nowhere.jar")}
    )
    with pytest.raises(ConfigError, match=r"job server for Flink at .*nowhere.jar, got none. Run `make flink-jars`"):
        train(workspace, settings, 7, Silent())
    assert list(workspace.examples.iterdir()) == []


def test_where_the_stages_run_is_no_part_of_what_they_depend_on(
    tiny_workspace: Workspace, trained: Bundle, tmp_path: Path
) -> None:
    workspace = link(tiny_workspace, tmp_path / "workspace")
    settings = TINY_CLOUD.model_copy(update={"runner": RunnerSettings(name="flink", flink_master="127.0.0.1:1")})
    assert train(workspace, settings, 7, Silent()).manifest.version == trained.manifest.version


def test_the_server_is_handed_the_consented_histories(tiny_workspace: Workspace, trained: Bundle) -> None:
    events = pq.read_table(tiny_workspace.events, columns=["user_id", "item_id", "timestamp_ms", "action"])
    clicks = events.sort_by("timestamp_ms").to_pylist()
    user_id = clicks[0]["user_id"]
    items = [row["item_id"] for row in clicks if row["user_id"] == user_id and row["action"] != "impression"]
    store = SQLiteSessionStore(tiny_workspace.state / SESSIONS_FILE, 200)
    try:
        recent = store.recent(user_id, 1)
    finally:
        store.close()
    assert recent == items[-1:]


def test_a_rerun_publishes_the_same_loads_nothing_heavy_and_is_silent(
    tiny_workspace: Workspace, trained: Bundle
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RERUN, str(tiny_workspace.root)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == f"{trained.manifest.version} []"
    assert done.stdout == ""
    assert reused(tiny_workspace, trained) == [
        "prepare",
        "statistics",
        "recount",
        "retrieval",
        "ranker",
        "device",
        "embed",
        "teacher",
        "index",
    ]


def test_other_index_settings_make_only_the_index_again(
    tiny_workspace: Workspace, trained: Bundle, tmp_path: Path
) -> None:
    workspace = link(tiny_workspace, tmp_path / "workspace")
    settings = TINY_CLOUD.model_copy(update={"index": IndexSettings(factory="HNSW32", recall_floor=0.0)})
    bundle = train(workspace, settings, 7, Silent())
    assert reused(workspace, bundle) == [stage for stage in STAGES if stage != "index"]
    changed = {name for name, entry in bundle.manifest.files.items() if entry != trained.manifest.files[name]}
    assert changed == {"index.faiss"}


def test_other_device_settings_make_only_the_device_tower_again(
    tiny_workspace: Workspace, trained: Bundle, tmp_path: Path
) -> None:
    workspace = link(tiny_workspace, tmp_path / "workspace")
    bundle = train(workspace, TINY_CLOUD, 7, Silent(), DeviceSettings(hidden_units=(5,)))
    assert reused(workspace, bundle) == [stage for stage in STAGES if stage != "device"]
    changed = {name for name, entry in bundle.manifest.files.items() if entry != trained.manifest.files[name]}
    assert changed == {
        "device_tower.npz",
        "device_tower.tflite",
        "device_tower_int8.tflite",
        "device_tower_training.tflite",
    }


def test_an_index_below_its_floor_publishes_nothing(tiny_workspace: Workspace, trained: Bundle, tmp_path: Path) -> None:
    workspace = link(tiny_workspace, tmp_path / "workspace")
    settings = TINY_CLOUD.model_copy(update={"index": IndexSettings(factory="IVF16,Flat")})
    with pytest.raises(TrainingError, match="Nothing is published"):
        train(workspace, settings, 7, Silent())
    assert BundleRegistry(workspace).versions() == []
    assert not workspace.state.exists()


def test_a_workspace_without_a_dataset_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Run `tandem ingest"):
        train(Workspace(tmp_path), CloudSettings(), 0, Silent())


def test_a_log_without_a_lawful_row_is_nothing_to_learn_from(tiny_workspace: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.events.mkdir(parents=True)
    for name in ("catalogue", "dataset.json"):
        (workspace.root / name).symlink_to(tiny_workspace.root / name)
    pq.write_table(make_events([{"item_id": "nowhere"}] * 3), workspace.events / "part-0000.parquet")
    with pytest.raises(TrainingError, match=r"got none that is lawful: see the reasons in .*report.json"):
        train(workspace, TINY_CLOUD, 7, Silent())
