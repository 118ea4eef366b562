"""Tandem's arms on a small task: the real pipelines, the real bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.cloud import compare_models
from benchmarks.comparison import Comparison
from benchmarks.evaluation import rank_targets
from benchmarks.tandem import TandemModel, adapt_settings, train_bundle
from benchmarks.task import Requests, Task
from recsys.cascade.cloud import CloudModel
from recsys.config.cloud import CloudSettings, PrepareSettings, RankerSettings, RetrievalSettings
from recsys.contracts.events import Surface
from recsys.progress import Silent
from recsys.storage.workspace import Workspace
from tests.benchmarks.tasks import make_task

SETTINGS = CloudSettings(
    retrieval=RetrievalSettings(dim=8, history_length=8, num_blocks=1, max_epochs=2),
    ranker=RankerSettings(max_epochs=1, num_candidates=10),
)
NUM_ITEMS = 30


@pytest.fixture(scope="module")
def task() -> Task:
    rng = np.random.default_rng(0)
    return make_task([rng.permutation(NUM_ITEMS)[:12].tolist() for _ in range(40)], NUM_ITEMS)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("bench") / "tandem")


@pytest.fixture(scope="module")
def cloud(task: Task, workspace: Workspace) -> CloudModel:
    bundle, seconds = train_bundle(task, workspace, SETTINGS, 0, Silent())
    assert seconds > 0
    return CloudModel.load(bundle)


def test_the_pipelines_learn_from_the_log_of_the_task_and_nothing_else(
    task: Task, workspace: Workspace, cloud: CloudModel
) -> None:
    events = pq.read_table(workspace.events).sort_by([("user_id", "ascending"), ("timestamp_ms", "ascending")])
    consented: dict[str, list[str]] = {}
    for event in events.to_pylist():
        consented.setdefault(event["user_id"], []).append(event["item_id"])
    assert consented == {
        user_id: [task.item_ids[item] for item in task.log.history(user)] for user, user_id in enumerate(task.user_ids)
    }
    assert cloud.manifest.split_fingerprint == task.split.fingerprint
    # One positive of each user is held out, as the protocol means it.
    assert cloud.manifest.metrics["retrieval_requests"] == 40


def test_retrieval_proposes_what_the_index_finds_and_hides_the_history(task: Task, cloud: CloudModel) -> None:
    scores = TandemModel(cloud, task, with_ranker=False).score(task.requests.slice(0, 1))[0]
    history = cloud.catalogue.index_of([task.item_ids[item] for item in task.log.history(0)])
    expected = cloud.vectors[1:] @ cloud.encode(history)
    places = cloud.catalogue.index_of(task.item_ids) - 1
    hidden = np.isneginf(scores)
    assert sorted(np.flatnonzero(hidden)) == sorted(task.log.history(0).tolist())
    assert scores[~hidden] == pytest.approx(expected[places][~hidden], abs=1e-4)


def test_the_ranker_orders_as_the_service_does(task: Task, cloud: CloudModel) -> None:
    scores = TandemModel(cloud, task, with_ranker=True).score(task.requests.slice(3, 4))[0]
    history = cloud.catalogue.index_of([task.item_ids[item] for item in task.log.history(3)])
    proposal = cloud.propose(cloud.encode(history), history, Surface.FEED, 100, 0, history)
    shown = np.argsort(-scores, kind="stable")[: len(proposal.item_indexes)]
    assert [task.item_ids[item] for item in shown] == cloud.catalogue.ids_of(proposal.item_indexes)


@pytest.mark.parametrize("with_ranker", [False, True])
def test_named_candidates_are_scored_each_and_no_other(task: Task, cloud: CloudModel, with_ranker: bool) -> None:
    target = int(task.requests.targets[0])
    candidates = np.array([[target, *[item for item in range(5) if item != target]]], np.int32)
    requests = Requests(task.requests.users[:1], task.requests.offsets[:2], task.requests.targets[:1], candidates)
    scores = TandemModel(cloud, task, with_ranker).score(requests)[0]
    assert set(np.flatnonzero(np.isfinite(scores))) == set(candidates[0].tolist())


def test_who_has_no_history_is_answered(task: Task, cloud: CloudModel) -> None:
    empty = make_task([[0, 1, 2], [3, 4, 5]], NUM_ITEMS)
    empty.log.offsets[:] = [0, 0, 4]
    for with_ranker in (False, True):
        model = TandemModel(cloud, empty, with_ranker)
        assert np.isfinite(model.score(empty.requests)[0]).sum() == NUM_ITEMS
        assert (rank_targets(model.score, empty.log, empty.requests) >= 0).all()


def test_the_settings_say_last_what_the_protocol_means_for_the_pipelines(task: Task) -> None:
    assert adapt_settings(CloudSettings(), task).prepare.max_validation_positives == 1
    own = CloudSettings(prepare=PrepareSettings(max_validation_positives=7))
    assert adapt_settings(own, task).prepare.max_validation_positives == 7


def test_both_arms_stand_in_one_comparison_and_a_rerun_keeps_them(task: Task, tmp_path: Path) -> None:
    arms = ("blend", "tandem_retrieval", "tandem_ranker")

    def run() -> Comparison:
        return compare_models(task, tmp_path, arms, SETTINGS, [0], Silent())

    first, again = run(), run()
    assert set(first.groups["all"].differences) == {
        "tandem_retrieval-blend",
        "tandem_ranker-blend",
        "tandem_ranker-tandem_retrieval",
    }
    for arm in arms[1:]:
        (facts,) = first.arms[arm].runs
        assert facts["metrics"]["retrieval_requests"] == 40
        assert first.arms[arm] == again.arms[arm]
