"""The measurement on real processes: a served bundle, the constant, the load."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.bench import bench_serving, mean_stages, merge_runs
from benchmarks.serving.processes import draw_catalogue, run_load, start_service
from recsys.cascade.cloud import CloudModel
from recsys.errors import ConfigError, WorkspaceError
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace

__all__ = ["bundled_workspace"]


def test_every_endpoint_is_saturated_and_then_offered_shares_of_that(bundled_workspace: Workspace) -> None:
    result = bench_serving(bundled_workspace, lengths=[20, 50], seconds=0.6, repeats=1, seed=0, progress=Silent())
    endpoints = {endpoint["name"]: endpoint for endpoint in result["endpoints"]}
    assert list(endpoints) == ["constant", "rerank 20", "rerank 50", "recommend"]
    assert endpoints["constant"]["floor_share"] == 1.0
    for endpoint in endpoints.values():
        assert [level["share"] for level in endpoint["levels"]] == [0.5, 0.8]
        for level in endpoint["levels"]:
            assert level["offered_per_second"] == level["share"] * endpoint["per_second"]
            assert level["failures"] == {}
            assert level["num_answers"] > 0
            assert level["cpu_ms"] > 0
    stages = {name: set(endpoint["levels"][0]["stages_ms"]) for name, endpoint in endpoints.items()}
    assert stages["constant"] == set()
    assert {"encode", "rerank"} <= stages["rerank 20"]
    assert {"encode", "propose"} <= stages["recommend"]
    assert result["server"]["peak_bytes"] > 10 * 2**20


def test_a_workspace_without_a_bundle_is_refused_before_any_start(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Expected a published bundle"):
        bench_serving(Workspace(tmp_path), lengths=[20], seconds=1, repeats=1, seed=0, progress=Silent())


def test_a_server_that_ends_at_once_is_told_with_its_own_words(bundled_workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "serving.toml").write_text("nonsense = 1\n")
    with (
        pytest.raises(ConfigError, match=r"Expected a server that gets ready, got one that ended: (.|\n)*nonsense"),
        start_service(bundled_workspace.root, tmp_path / "log", tmp_path / "serving.toml"),
    ):
        pass


def test_a_load_without_a_server_is_told(tmp_path: Path) -> None:
    (tmp_path / "requests").write_bytes(b"00000001x")
    where = {"host": "127.0.0.1", "port": 1, "requests": str(tmp_path / "requests")}
    with pytest.raises(ConfigError, match=r"Expected the load to run to its end, got: (.|\n)*refused"):
        run_load({**where, "seconds": 0.1, "num_connections": 1})


def test_stages_are_means_over_the_requests_between_two_looks() -> None:
    key = ("/v1/rerank", "rerank")
    assert mean_stages({key: (1.0, 10.0)}, {key: (1.5, 20.0)}) == {"rerank": pytest.approx(50.0)}
    assert mean_stages({key: (1.0, 10.0)}, {key: (1.0, 10.0)}) == {}


def test_a_drawn_catalogue_is_a_bundle_that_answers(tmp_path: Path) -> None:
    draw_catalogue(tmp_path / "w", 1_000, 0)
    cloud = CloudModel.load(BundleRegistry(Workspace(tmp_path / "w")).current())
    assert cloud.catalogue.num_items == 1_000
    most = cloud.statistics.score_all(cloud.catalogue.index_of(["item-0000000"]), "transitions")
    assert (most > 0).sum() == 200
    query = cloud.encode(cloud.catalogue.index_of(["item-0000003"]))
    assert query.shape == (64,)


def test_a_catalogue_that_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Expected a catalogue of 1000 items to be drawn, got"):
        draw_catalogue(tmp_path / "file" / "w", 1_000, 0)


def run_of(p99_ms, **more):
    latency = {"p50_ms": 1.0, "p99_ms": p99_ms} if p99_ms else {}
    generator = {"cpu_share": 0.25, "late_p99_ms": p99_ms / 10}
    return {"num_answers": 10, "failures": {}, "per_second": 5.0, "latency": latency, "generator": generator, **more}


def test_a_level_tells_medians_of_its_runs_and_sums_of_what_they_counted():
    runs = [run_of(4.0), run_of(90.0, failures={"429": 2}), run_of(5.0, failures={"429": 1, "0": 3}, per_second=9.0)]
    assert merge_runs(runs) == {
        "num_answers": 30,
        "failures": {"0": 3, "429": 3},
        "per_second": 5.0,
        "latency": {"p50_ms": 1.0, "p99_ms": 5.0},
        "p99_ms_runs": [4.0, 90.0, 5.0],
        "generator": {"cpu_share": 0.25, "late_p99_ms": 0.5},
    }


def test_a_level_at_which_nothing_was_answered_has_no_percentiles():
    told = merge_runs([run_of(0.0, num_answers=0, failures={"503": 7})])
    assert (told["latency"], told["p99_ms_runs"], told["failures"]) == ({}, [], {"503": 7})
