import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.device import TOWERS, bench_device
from recsys.contracts.bundle import DEVICE_TOWER_INT8_FILE, DEVICE_TRAINING_FILE
from recsys.errors import BundleError, WorkspaceError
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from tests.bundles import bundled_workspace, own_workspace  # noqa: F401
from tests.serving.test_engine import publish_with


@pytest.fixture(scope="module")
def result(bundled_workspace):  # noqa: F811
    return bench_device(bundled_workspace, seed=0, progress=Silent(), max_users=20)


def test_it_tells_size_time_and_quality_of_every_tower(result, bundled_workspace):  # noqa: F811
    files = BundleRegistry(bundled_workspace).current().manifest.files
    assert {name: tower["size_bytes"] for name, tower in result["towers"].items()} == {
        name: files[file].size_bytes for name, (file, _) in TOWERS.items()
    }
    for tower in result["towers"].values():
        assert 0 < tower["median_ms"] <= tower["p95_ms"]
        assert 0 <= tower["ndcg_at_10"] <= 1
    assert 0 < result["int8_error"] < 0.05
    assert json.loads(json.dumps(result)) == result


def test_an_update_is_a_float_for_each_weight(result):
    training = result["training"]
    assert training["update_bytes"] == 4 * training["num_weights"]
    assert (training["batch_size"], training["num_candidates"]) == (16, 32)
    assert 0 < training["step_ms"] <= training["p95_ms"]


def test_the_trainable_tower_scores_as_the_one_that_only_reranks(result):
    towers = result["towers"]
    assert towers["trainable"]["ndcg_at_10"] == towers["float"]["ndcg_at_10"]


@pytest.mark.parametrize("file", [DEVICE_TOWER_INT8_FILE, DEVICE_TRAINING_FILE])
def test_a_bundle_without_one_of_the_towers_is_refused(file, own_workspace):  # noqa: F811
    publish_with(own_workspace, {file: None})
    with pytest.raises(BundleError, match=f"Expected the file '{file}' in bundle"):
        bench_device(own_workspace, seed=0, progress=Silent())


def test_people_without_a_private_choice_are_nobody_to_measure_on(own_workspace):  # noqa: F811
    for shard in own_workspace.devices.glob("shard-*.parquet"):
        table = pq.read_table(shard)
        place = table.schema.get_field_index("part")
        parts = pa.array(["consented"] * table.num_rows, table.schema.field("part").type)
        pq.write_table(table.set_column(place, table.schema.field("part"), parts), shard)
    with pytest.raises(WorkspaceError, match="Expected people with a private choice and lists of 100, got none"):
        bench_device(own_workspace, seed=0, progress=Silent())
