from __future__ import annotations

import json

import pytest

from benchmarks.index import bench_index
from recsys.config.cloud import IndexSettings
from recsys.errors import ConfigError
from recsys.progress import Silent

SETTINGS = IndexSettings(shard_items=700)


def bench(worlds, factories, settings=SETTINGS):
    return bench_index(2_000, 8, worlds, factories, num_queries=20, seed=1, progress=Silent(), settings=settings)


def test_exact_search_finds_all_whatever_it_is_asked():
    result = bench(["clustered"], ["auto"])
    (index,) = result["worlds"]["clustered"]["indexes"]
    assert index["factory"] == "Flat"
    assert [row["recall_at_100"] for row in index["efforts"]] == [1.0]
    assert [(row["allowed_share"], row["recall_at_100"]) for row in index["filtered"]] == [
        (0.5, 1.0),
        (0.1, 1.0),
        (0.001, 1.0),
    ]
    assert index["replaced"]["recall_at_100"] == 1.0
    assert index["bytes_per_item"] == pytest.approx(32, abs=1)  # 8 numbers of 4 bytes
    assert json.loads(json.dumps(result)) == result


def test_effort_rises_until_the_target_is_found():
    result = bench(["random"], ["IVF64,PQ4x4fsr,RFlat"])
    (index,) = result["worlds"]["random"]["indexes"]
    efforts = [row["effort"] for row in index["efforts"]]
    assert efforts[0] == 0.25  # 2 of the 8 cells that are looked into by default.
    assert efforts == sorted(set(efforts))
    assert index["efforts"][0]["recall_at_100"] < 0.9 < index["efforts"][-1]["recall_at_100"]
    assert index["replaced"]["recall_at_100"] > 0.9
    for row in (*index["efforts"], *index["filtered"], index["replaced"]):
        assert row["one_speedup"] == pytest.approx(row["exact_one_ms"] / row["one_ms"])
        assert row["batch_speedup"] == pytest.approx(row["exact_batch_ms"] / row["batch_ms"])


def test_every_index_is_measured_in_every_world():
    result = bench(["clustered", "random"], ["Flat", "HNSW8"], SETTINGS.model_copy(update={"recall_target": 0.0}))
    for world in ("clustered", "random"):
        assert [index["factory"] for index in result["worlds"][world]["indexes"]] == ["Flat", "HNSW8"]


def test_a_world_that_is_unknown_is_named():
    with pytest.raises(ConfigError, match="Expected worlds out of clustered, random, got uniform"):
        bench(["clustered", "uniform"], ["auto"])
