"""The same job on a real cluster: what `tandem train --runner flink` leaves is what it leaves without a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.ingestion import ingest
from pipelines.job import train
from recsys.progress import Silent
from recsys.storage.registry import Bundle, BundleRegistry
from recsys.storage.workspace import Workspace
from tests.cluster.flink import FlinkCluster
from tests.pipelines.conftest import TINY_CLOUD, TINY_DATA

REPOSITORY = Path(__file__).resolve().parents[2]
SEED = 7

NUM_JOBS = 5
"""One for prepare, statistics and embed each, two for recount."""

TRAINING_TIMEOUT_S = 3_000

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3_600, func_only=True)]


def make_workspace(root: Path) -> Workspace:
    """A synthetic log, to which copies at other times and rows of an unknown item were added."""
    workspace = Workspace(root)
    ingest(workspace, "synthetic", TINY_DATA, 1)
    log = pq.read_table(workspace.events)
    later = pa.array([time + 1000 for time in log.column("timestamp_ms").to_pylist()])
    copies = log.set_column(log.schema.get_field_index("timestamp_ms"), "timestamp_ms", later).slice(0, 300)
    unknown = log.set_column(log.schema.get_field_index("item_id"), "item_id", pa.array(["nowhere"] * len(log)))
    pq.write_table(pa.concat_tables([copies, unknown.slice(300, 50)]), workspace.events / "part-9999.parquet")
    return workspace


def write_settings(path: Path, cluster: FlinkCluster, jars: Path, **runner: Any) -> Path:
    """Writes TINY_CLOUD as TOML, with a runner that finds the cluster."""
    place = {"flink_master": cluster.master, "flink_job_server_jar": str(jars / "job-server.jar"), **runner}
    sections = {**TINY_CLOUD.model_dump(mode="json", exclude={"runner"}), "runner": place}
    lines = [
        line
        for name, values in sections.items()
        for line in (f"[{name}]", *(f"{key} = {to_toml(value)}" for key, value in values.items()))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def to_toml(value: Any) -> str:
    """Writes a value as TOML: as JSON, but for tables, which stand in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {to_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


def start_training(workspace: Workspace, settings: Path, outside: Path) -> subprocess.Popen[str]:
    """Starts `tandem train --runner flink` in a folder of its own."""
    place = ["--workspace", os.path.relpath(workspace.root, outside), "--config", str(settings), "--seed", str(SEED)]
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "train", "--runner", "flink", "--json", *place],
        cwd=outside,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def at_work(cluster: FlinkCluster, job_id: str) -> list[tuple[psutil.Process, list[psutil.Process]]]:
    """Returns the task managers that run tasks of a job, each with the Python that it has started for them."""
    found = [psutil.Process(cluster.task_managers[name].pid) for name in sorted(cluster.busy_task_managers(job_id))]
    return [(process, workers) for process in found if (workers := process.children(recursive=True))]


def prepared_folder(workspace: Workspace) -> Path:
    (folder,) = (path for path in workspace.examples.iterdir() if path.is_dir() and not path.name.endswith(".partial"))
    return folder


def rows_of(folder: Path) -> Counter[str]:
    return Counter(str(row) for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist())


def counters_of(workspace: Workspace, bundle: Bundle) -> dict[str, Any]:
    report = json.loads((workspace.reports / f"train-{bundle.manifest.version}.json").read_text())
    return {name: value for name, value in report["counters"].items() if "second" not in name and name != "steps"}


def steps_of(workspace: Workspace, bundle: Bundle) -> dict[str, dict[str, float]]:
    report = json.loads((workspace.reports / f"train-{bundle.manifest.version}.json").read_text())
    return {
        f"{stage['name']}: {label}": step["rows"]
        for stage in report["stages"]
        for label, step in stage["steps"].items()
    }


def assert_same(workspace: Workspace, bundle: Bundle, expected_in: Workspace, expected: Bundle) -> None:
    """Rows, vectors, index and every other byte of the bundle."""
    ours, theirs = prepared_folder(workspace), prepared_folder(expected_in)
    for folder in ("events", "dead_letters", "duplicates"):
        assert rows_of(ours / folder) == rows_of(theirs / folder) != Counter()
    assert counters_of(workspace, bundle) == counters_of(expected_in, expected)
    assert bundle.manifest.metrics["index_recall_at_100"] == expected.manifest.metrics["index_recall_at_100"]
    assert bundle.manifest.files == expected.manifest.files
    assert bundle.manifest.version == expected.manifest.version


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Bundle]:
    """The job, run without a cluster."""
    workspace = make_workspace(tmp_path_factory.mktemp("embedded"))
    return workspace, train(workspace, TINY_CLOUD, SEED, Silent())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder to call the command in, which is not the one that the workers stand in."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


def test_the_cluster_leaves_the_same_rows_and_the_same_bundle(
    cluster: FlinkCluster, jars: Path, embedded: tuple[Workspace, Bundle], tmp_path: Path, outside: Path
) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    training = start_training(workspace, write_settings(tmp_path / "cloud.toml", cluster, jars), outside)
    out, err = training.communicate(timeout=TRAINING_TIMEOUT_S)
    assert training.returncode == 0, err
    bundle = BundleRegistry(workspace).current()
    assert json.loads(out)["version"] == bundle.manifest.version
    assert_same(workspace, bundle, *embedded)
    jobs = cluster.get("jobs/overview")["jobs"]
    assert [job["state"] for job in jobs] == ["FINISHED"] * NUM_JOBS
    assert cluster.ran_on(jobs[0]["jid"]) <= set(cluster.task_managers)
    assert steps_of(workspace, bundle) == steps_of(*embedded)
    assert "prepare: validate" in steps_of(workspace, bundle)


def test_a_job_that_loses_a_task_manager_still_ends_right_and_leaves_no_worker(
    cluster: FlinkCluster, jars: Path, embedded: tuple[Workspace, Bundle], tmp_path: Path, outside: Path
) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    training = start_training(workspace, write_settings(tmp_path / "cloud.toml", cluster, jars), outside)
    try:
        cluster.wait(lambda: bool(cluster.get("jobs/overview")["jobs"]), "a job")
        job_id = cluster.get("jobs/overview")["jobs"][0]["jid"]
        cluster.wait(lambda: any(workspace.examples.glob("*.partial/duplicates/*")), "the first shuffle")
        cluster.wait(lambda: bool(at_work(cluster, job_id)), "a Python at work")
        victim, workers = at_work(cluster, job_id)[0]
        victim.send_signal(signal.SIGKILL)
        _, err = training.communicate(timeout=TRAINING_TIMEOUT_S)
    finally:
        training.kill()
    assert training.returncode == 0, err
    assert cluster.get(f"jobs/{job_id}")["state"] == "FAILED", "and was begun again"
    assert [job["state"] for job in cluster.get("jobs/overview")["jobs"]].count("FINISHED") == NUM_JOBS
    assert cluster.get("overview")["taskmanagers"] == 1
    assert_same(workspace, BundleRegistry(workspace).current(), *embedded)
    assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_an_error_of_a_step_arrives_as_it_was_raised(
    cluster: FlinkCluster, jars: Path, tmp_path: Path, outside: Path
) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    broken = workspace.events / "part-9999.parquet"
    content = bytearray(broken.read_bytes())
    content[4:2000] = bytes(1996)
    broken.write_bytes(content)
    settings = write_settings(tmp_path / "cloud.toml", cluster, jars, num_restarts=0)
    training = start_training(workspace, settings, outside)
    _, err = training.communicate(timeout=TRAINING_TIMEOUT_S)
    assert training.returncode == 3
    assert err.splitlines()[-1].startswith("Expected a whole Parquet file of events at ")
    assert "part-9999.parquet" in err.splitlines()[-1]
    assert err.splitlines()[-1].endswith("or remove it.")
