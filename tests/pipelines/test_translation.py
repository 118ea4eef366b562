"""The jobs as they would go to Spark and to Dataflow: translated, and the translation run without a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from data.divided import SHARD, write_parts
from pipelines.dataflow import options_of
from pipelines.embed.job import embed
from pipelines.prepare.job import prepare
from pipelines.shards.job import write_shards
from pipelines.spark.flags import spark_flags
from pipelines.stages import find_stages
from pipelines.statistics.recount import recount
from recsys.config.cloud import RunnerSettings
from recsys.contracts.bundle import EMBEDDINGS_FILE, ITEM_TO_ITEM_FILE, ITEM_TOWER_FILE, VOCABULARY_FILE
from recsys.progress import Silent
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace
from tests.pipelines.conftest import TINY_CLOUD
from tests.pipelines.test_dataflow import SETTINGS as DATAFLOW
from tests.pipelines.translation import GRAPHS

PRIMITIVES = {
    "beam:transform:impulse:v1",
    "beam:transform:pardo:v1",
    "beam:transform:group_by_key:v1",
    "beam:transform:flatten:v1",
    "beam:transform:reshuffle:v1",
    "beam:transform:combine_per_key_precombine:v1",
    "beam:transform:combine_per_key_merge_accumulators:v1",
    "beam:transform:combine_per_key_extract_outputs:v1",
}
"""What every portable runner knows."""


@pytest.fixture(params=["spark", "dataflow"])
def flags(request: pytest.FixtureRequest, worker_command: Path, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Those of the runner, with the translating one in its place."""
    GRAPHS.clear()
    if request.param == "dataflow":
        yield (*options_of(DATAFLOW), "--runner=tests.pipelines.translation.TranslatingDataflowRunner")
    else:
        jar = tmp_path / "job-server.jar"
        jar.touch()
        settings = RunnerSettings(
            name="spark", spark_master="local[2]", spark_job_server_jar=jar, worker_command=str(worker_command)
        )
        yield (*spark_flags(settings), "--runner=tests.pipelines.translation.TranslatingSparkRunner")
    GRAPHS.clear()


def rows_of(folder: Path) -> Counter[str]:
    return Counter(str(row) for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist())


def does(transform: beam_runner_api_pb2.PTransform) -> bool:
    """Whether it is a step by itself: no composite, nor the shell of one that passes its input on."""
    return not transform.subtransforms and bool(set(transform.outputs.values()) - set(transform.inputs.values()))


def assert_portable(graph: beam_runner_api_pb2.Pipeline, worker: str) -> None:
    """Nothing in it is of one runner, and the workers are those that the settings name."""
    assert {transform.spec.urn for transform in graph.components.transforms.values() if does(transform)} <= PRIMITIVES
    (environment,) = graph.components.environments.values()
    if environment.urn == "beam:env:docker:v1":
        payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
        assert (payload.container_image, worker) == ("registry/tandem:1", "image")
    else:
        payload = beam_runner_api_pb2.ProcessPayload.FromString(environment.payload)
        assert (environment.urn, payload.command) == ("beam:env:process:v1", worker)


def test_the_graphs_of_all_beam_stages_are_portable_and_leave_the_same_files(
    flags: tuple[str, ...], tiny_workspace: Workspace, trained: Bundle, worker_command: Path, tmp_path: Path
) -> None:
    for name in ("prepared", "counted", "embedded", "devices"):
        (tmp_path / name).mkdir()
    ((expected, _),) = find_stages(tiny_workspace.examples, "prepare", {})
    ((recounted, _),) = find_stages(tiny_workspace.models, "recount", {})
    prepare(tiny_workspace.events, tiny_workspace.items, tmp_path / "prepared", TINY_CLOUD.prepare, flags)
    recount(expected.folder, tmp_path / "counted", TINY_CLOUD.statistics, flags)
    embed(expected.folder / VOCABULARY_FILE, trained.path(ITEM_TOWER_FILE), tmp_path / "embedded", flags)
    held = pq.read_table(tiny_workspace.devices)
    write_parts(held.append_column(SHARD, pa.array([0] * held.num_rows, pa.int32())), tmp_path / "divided")
    write_shards(tmp_path / "divided", tmp_path / "devices", 1, Silent(), flags)
    assert rows_of(tmp_path / "prepared" / "events") == rows_of(expected.folder / "events") != Counter()
    for name in (ITEM_TO_ITEM_FILE, VOCABULARY_FILE):
        assert (tmp_path / "counted" / name).read_bytes() == (recounted.folder / name).read_bytes()
    assert (tmp_path / "embedded" / EMBEDDINGS_FILE).read_bytes() == trained.read_bytes(EMBEDDINGS_FILE)
    shard = "shard-0000.parquet"
    assert (tmp_path / "devices" / shard).read_bytes() == (tiny_workspace.devices / shard).read_bytes()
    assert len(GRAPHS) == 5, "prepare, statistics, their vocabulary, embed, shards"
    worker = "image" if "Dataflow" in flags[-1] else str(worker_command)
    for graph in GRAPHS:
        assert_portable(graph, worker)
