"""A small world of a thousand and more feed items, so that more than a hundred of them are hidden."""

from __future__ import annotations

import pytest

from benchmarks.cold.bench import BASELINES, METRICS, MODEL, bench_cold
from pipelines.ingestion import ingest
from recsys.config.cloud import CloudSettings, RetrievalSettings
from recsys.config.data import DataSettings, WorldSettings
from recsys.errors import WorkspaceError
from recsys.progress import Silent
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace  # noqa: F401

WORLD = WorldSettings(num_users=150, num_items=600, num_streamers=20, num_categories=12)
SETTINGS = CloudSettings(
    retrieval=RetrievalSettings(dim=16, history_length=20, num_blocks=1, max_epochs=3, id_dropout=0.2)
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    place = Workspace(tmp_path_factory.mktemp("cold"))
    ingest(place, "synthetic", DataSettings(world=WORLD), 1)
    return place


@pytest.fixture(scope="module")
def result(workspace):
    return bench_cold(workspace, SETTINGS, seed=0, progress=Silent(), share=0.2)


def test_content_finds_hidden_items_better_than_chance_and_than_popularity(result):
    for baseline in ("random", "category_popularity"):
        assert result["differences"][f"{MODEL}-{baseline}"]["hidden_recall_at_10"]["low"] > 0, baseline


def test_every_arm_has_every_metric_within_its_range(result):
    assert set(result["arms"]) == {MODEL, *BASELINES}
    for metrics in result["arms"].values():
        assert set(metrics) == set(METRICS)
        assert all(0 <= one["low"] <= one["mean"] <= one["high"] <= 1 for one in metrics.values())


def test_random_order_finds_what_chance_finds(result):
    """120 of 600 feed items are hidden; a person has seen some, so the share is a little more than 10 in 120."""
    assert 10 / 120 <= result["arms"]["random"]["hidden_recall_at_10"]["mean"] < 0.11
    assert 100 / 600 <= result["arms"]["random"]["recall_at_100"]["mean"] < 0.22


def test_the_counts_are_those_of_the_draw(result):
    assert (result["num_items"], result["num_hidden"]) == (620, 120 + 4)
    assert result["num_training_events_left_out"] > 0
    assert result["num_events"] >= result["num_users"] > 0


def test_too_few_hidden_items_are_refused(bundled_workspace):  # noqa: F811
    with pytest.raises(WorkspaceError, match="surface with more than 100 of them, got none among 14 hidden items"):
        bench_cold(bundled_workspace, SETTINGS, seed=0, progress=Silent())
