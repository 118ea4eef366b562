from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.query_tower import bench_query_tower
from recsys.contracts import bundle as names
from recsys.errors import BundleError, WorkspaceError
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from tests.bundles import bundled_workspace, own_workspace  # noqa: F401
from tests.serving.test_engine import publish_with


@pytest.fixture(scope="module")
def result(bundled_workspace):  # noqa: F811
    return bench_query_tower(bundled_workspace, seed=0, progress=Silent())


def test_towers_whose_weights_are_too_few_to_be_rounded_lose_nothing(result):
    """The bundle of the tests has layers below the converter's threshold: both towers compute the same."""
    assert result["recall_points_lost"] == 0.0
    assert result["differences"]["int8-float"]["recall_at_100"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert result["towers"]["int8"]["recall_at_100"] == result["towers"]["float"]["recall_at_100"]


def test_size_and_time_of_each_tower_are_told(bundled_workspace, result):  # noqa: F811
    manifest = BundleRegistry(bundled_workspace).current().manifest
    for name, file in (("float", names.QUERY_TOWER_FILE), ("int8", names.QUERY_TOWER_INT8_FILE)):
        tower = result["towers"][name]
        assert tower["size_bytes"] == manifest.files[file].size_bytes
        assert 0 < tower["median_ms"] <= tower["p95_ms"]
    assert result["num_events"] >= result["num_users"] > 0


def test_at_most_so_many_people_are_asked(bundled_workspace):  # noqa: F811
    assert bench_query_tower(bundled_workspace, seed=0, progress=Silent(), max_users=3)["num_users"] <= 3


def test_a_bundle_without_the_int8_tower_is_refused(own_workspace):  # noqa: F811
    bundle = publish_with(own_workspace, {names.QUERY_TOWER_INT8_FILE: None})
    with pytest.raises(BundleError, match=r"Expected the file 'query_tower_int8\.tflite' in bundle"):
        bench_query_tower(own_workspace, seed=0, progress=Silent(), version=bundle.manifest.version)


def test_a_workspace_without_held_out_events_is_refused(own_workspace):  # noqa: F811
    for shard in own_workspace.devices.glob("shard-*.parquet"):
        table = pq.read_table(shard)
        parts = pa.array(["private"] * table.num_rows, table.schema.field("part").type)
        place = table.schema.get_field_index("part")
        pq.write_table(table.set_column(place, table.schema.field("part"), parts), shard)
    with pytest.raises(WorkspaceError, match=r"Expected held-out events in .*, got none"):
        bench_query_tower(own_workspace, seed=0, progress=Silent())
