from __future__ import annotations

import numpy as np
import pytest

from federated.simulation import replay_pool
from federated.simulation.arms import ARMS, GATED, LOCAL, RERANKED
from federated.simulation.evaluation import evaluate
from recsys.config.federated import FederatedSettings, PersonalSettings
from recsys.errors import BundleError, WorkspaceError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace  # noqa: F401

SETTINGS = FederatedSettings()


@pytest.fixture(scope="module")
def evaluation(bundled_workspace):  # noqa: F811
    return evaluate(bundled_workspace, seed=0)


def test_the_json_holds_every_arm_and_difference_with_its_interval(evaluation):
    result = evaluation.to_json()
    assert set(result["arms"]) == {*ARMS, "popularity", "oracle"}
    for metrics in result["arms"].values():
        assert metrics["ndcg_at_10"]["low"] <= metrics["ndcg_at_10"]["mean"] <= metrics["ndcg_at_10"]["high"]
    gain = result["differences"]["cloud_device-cloud_only"]["ndcg_at_10"]["mean"]
    arms = result["arms"]
    assert gain == pytest.approx(arms["cloud_device"]["ndcg_at_10"]["mean"] - arms["cloud_only"]["ndcg_at_10"]["mean"])
    assert {"dataset", "split_fingerprint", "seed", "seconds"} <= set(result)


def test_no_arm_beats_the_oracle_on_average(evaluation):
    oracle = evaluation.arms["oracle"]["ndcg_at_10"].mean
    assert all(metrics["ndcg_at_10"].mean < oracle for name, metrics in evaluation.arms.items() if name != "oracle")


def test_equal_seeds_give_equal_results(bundled_workspace, evaluation):  # noqa: F811
    again = evaluate(bundled_workspace, seed=0)
    assert again.arms == evaluation.arms
    assert again.differences == evaluation.differences


def test_the_number_of_processes_changes_nothing(bundled_workspace, monkeypatch):  # noqa: F811
    monkeypatch.setattr(replay_pool, "_ALONE_BELOW", 0)
    monkeypatch.setattr(replay_pool, "CHUNK_USERS", 7)
    bundle = BundleRegistry(bundled_workspace).current()
    alone, crew = (
        [
            replay
            for *_, latest in replay_pool.replay_all(bundled_workspace, bundle, SETTINGS, 20, 0, number)
            for replay in latest
        ]
        for number in (1, 2)
    )
    assert alone == crew


def test_the_share_harmed_is_the_share_of_users_with_a_lower_value(evaluation):
    ndcg = evaluation.user_ndcg
    assert evaluation.harmed["cloud_device"] == np.mean(ndcg["cloud_device"] < ndcg["cloud_only"])


@pytest.mark.parametrize(("table", "pairs"), [("reranking", RERANKED), ("personalisation", LOCAL)])
def test_harm_is_counted_against_the_same_lists_in_another_order(table, pairs, evaluation):
    ndcg, harms = evaluation.user_ndcg, getattr(evaluation, table)
    assert set(harms) == set(pairs)
    for arm, base in pairs.items():
        harm, change = harms[arm], ndcg[arm] - ndcg[base]
        assert harm.against == base
        assert harm.share_harmed.mean == np.mean(change < 0)
        assert harm.share_helped.mean == np.mean(change > 0)
        assert harm.worst_tenth.mean == pytest.approx(np.sort(change)[: max(1, round(len(change) / 10))].mean())


def test_groups_of_people_are_judged_in_every_arm(evaluation):
    result = evaluation.to_json()
    assert list(result["groups"]) == ["worst_served", "long_tail"]
    assert 0 < evaluation.groups["long_tail"].num_users <= np.ceil(0.2 * evaluation.num_users)
    for group in result["groups"].values():
        assert set(group["ndcg_at_10"]) == set(result["lowest_tenth"]) == {*ARMS, "popularity", "oracle"}
        assert set(group["gain_over_cloud_only"]) == set(group["share_harmed"]) == {*ARMS[1:], "popularity", "oracle"}


def test_the_gated_arms_tell_to_how_many_they_show_each_order(evaluation):
    for arm in GATED.values():
        assert sum(evaluation.reranking[arm].orders.values()) == pytest.approx(1.0)
        assert list(evaluation.reranking[arm].orders) == ["cloud", "global", "personal"]
    assert evaluation.reranking["cloud_device"].orders == {}


@pytest.mark.parametrize(("fallback", "usual"), [("cloud", RERANKED), ("global", LOCAL)])
def test_a_gate_that_nothing_passes_leaves_the_usual_order(fallback, usual, bundled_workspace):  # noqa: F811
    closed = SETTINGS.model_copy(update={"personal": PersonalSettings(margin=1e6, fallback=fallback)})
    ndcg = evaluate(bundled_workspace, seed=0, settings=closed, max_users=10).user_ndcg
    for arm in GATED.values():
        np.testing.assert_array_equal(ndcg[arm], ndcg[usual[arm]])


def test_a_sample_of_users_is_judged_on_request(bundled_workspace):  # noqa: F811
    assert evaluate(bundled_workspace, seed=0, max_users=7).num_users <= 7


def test_an_unknown_version_is_refused(bundled_workspace):  # noqa: F811
    with pytest.raises(BundleError, match="0009-000000000000"):
        evaluate(bundled_workspace, seed=0, version="0009-000000000000")


def test_an_empty_workspace_names_the_command_that_fills_it(tmp_path):
    with pytest.raises(WorkspaceError, match="Run `tandem ingest"):
        evaluate(Workspace(tmp_path), seed=0)
