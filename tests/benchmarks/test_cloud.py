from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cloud import compare_models
from benchmarks.comparison import Comparison
from benchmarks.evaluation import measure
from benchmarks.run import Bench
from benchmarks.task import Task
from recsys.config.cloud import CloudSettings
from recsys.progress import Silent
from tests.benchmarks.tasks import make_task

HISTORIES = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3], [0, 1, 2]]
ARMS = ("popularity", "ials", "blend")


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task(HISTORIES, 6)


@pytest.fixture(scope="module")
def comparison(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare_models(task, tmp_path_factory.mktemp("bench"), ARMS, CloudSettings(), range(5, 8), Silent())


def test_arms_that_draw_run_once_a_seed_and_the_others_once(comparison: Comparison) -> None:
    result = comparison.to_json()
    assert {name: len(arm["runs"]) for name, arm in result["arms"].items()} == {"popularity": 1, "ials": 3, "blend": 1}
    assert result["seeds"] == [5, 6, 7]
    seeds = result["groups"]["all"]["seeds"]
    assert len(seeds["ials"]["ndcg_at_10"]["values"]) == 3
    assert seeds["ials"]["ndcg_at_10"]["spread"] == pytest.approx(np.std(seeds["ials"]["ndcg_at_10"]["values"], ddof=1))
    assert seeds["blend"]["ndcg_at_10"]["spread"] is None


def test_the_mean_of_an_arm_is_over_people_and_seeds(comparison: Comparison) -> None:
    group = comparison.groups["all"]
    assert group.arms["ials"]["ndcg_at_10"].mean == pytest.approx(np.mean(group.seeds["ials"]["ndcg_at_10"]))


def test_differences_are_against_the_blend(comparison: Comparison) -> None:
    group = comparison.groups["all"]
    assert set(group.differences) == {"popularity-blend", "ials-blend"}
    gain = group.differences["popularity-blend"]["ndcg_at_10"].mean
    assert gain == pytest.approx(group.arms["popularity"]["ndcg_at_10"].mean - group.arms["blend"]["ndcg_at_10"].mean)


def test_the_result_names_the_split_and_is_json(comparison: Comparison, task: Task) -> None:
    result = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert (result["split_fingerprint"], result["task_fingerprint"]) == (task.split.fingerprint, task.fingerprint)
    assert (result["num_users"], result["num_events"], result["num_requests"]) == (4, 10, 4)
    assert result["baseline_settings"]["ease_l2"] == 200.0


def test_groups_are_measured_apart(task: Task, tmp_path: Path) -> None:
    grouped = task.grouped(
        {"first": np.array([True, False, False, False]), "rest": np.array([False, True, True, True])}
    )
    result = compare_models(grouped, tmp_path, ("popularity",), CloudSettings(), [0], Silent())
    assert {name: group.num_requests for name, group in result.groups.items()} == {"first": 1, "rest": 3}
    ranks = Bench(task, tmp_path, CloudSettings(), Silent()).run("popularity", 0).ranks
    gains = measure(task.requests, ranks)["hit_rate_at_10"]
    assert result.groups["rest"].arms["popularity"]["hit_rate_at_10"].mean == pytest.approx(gains[1:].mean())


def test_only_tandems_arms_are_held_against_further_references(task: Task, tmp_path: Path) -> None:
    further = replace(task, references=("blend", "popularity"))
    result = compare_models(further, tmp_path, ("popularity", "transitions", "blend"), CloudSettings(), [0], Silent())
    assert set(result.groups["all"].differences) == {"popularity-blend", "transitions-blend"}
