from __future__ import annotations

import numpy as np
import pytest

from benchmarks.arms import ITEM_TO_ITEM
from benchmarks.edge_cloud import PAIRS, SimpleModels, bench_edge_cloud, read_consented
from benchmarks.heldout import heldout_events
from benchmarks.settings import BaselineSettings
from federated.simulation import replay_pool
from federated.simulation.arms import ARMS
from federated.simulation.population import Population
from federated.simulation.user_log import CONSENTED
from recsys.cascade.cloud import CloudModel
from recsys.config.federated import FederatedSettings
from recsys.contracts.events import Surface
from recsys.errors import WorkspaceError
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.benchmarks.tasks import make_requests
from tests.bundles import bundled_workspace  # noqa: F401

SETTINGS = FederatedSettings()


@pytest.fixture(scope="module")
def world(bundled_workspace):  # noqa: F811
    cloud = CloudModel.load(BundleRegistry(bundled_workspace).current())
    population = Population(bundled_workspace, cloud.catalogue)
    return cloud, population, read_consented(population, cloud.catalogue.num_items)


@pytest.fixture(scope="module")
def result(bundled_workspace):  # noqa: F811
    return bench_edge_cloud(bundled_workspace, seed=0, settings=SETTINGS, progress=Silent())


def fit(log):
    models = {name: build(BaselineSettings()) for name, build in ITEM_TO_ITEM.items()}
    for model in models.values():
        model.fit(log, 0)
    return models


def replay(workspace, rivals, num_processes=1):
    bundle = BundleRegistry(workspace).current()
    told = replay_pool.replay_all(workspace, bundle, SETTINGS, None, 0, num_processes, rivals)
    return {replay.user_id: replay for *_, latest in told for replay in latest}


def test_models_learn_from_what_everybody_chose_in_the_consented_log_and_nothing_else(world):
    cloud, population, log = world
    assert log.num_users == len(population.user_ids)
    assert log.num_items == cloud.catalogue.num_items
    for user, person in enumerate(population.logs(population.user_ids)):
        chosen = person.item_indexes[person.positive & (person.parts == CONSENTED)]
        assert (log.history(user) + 1).tolist() == chosen.tolist()
    assert np.bincount(log.items + 1, minlength=log.num_items + 1).tolist() == cloud.catalogue.positives.tolist()


@pytest.mark.parametrize("name", list(ITEM_TO_ITEM))
def test_the_rank_of_an_event_is_the_rank_that_the_model_itself_gives_it(name, world, bundled_workspace):  # noqa: F811
    """Fitted and asked as `tandem bench cloud` does it: each person is a user of the log that was learned."""
    cloud, population, log = world
    replays = replay(bundled_workspace, SimpleModels(fit(log), cloud.catalogue))
    model, num_events = fit(log)[name], 0
    for user, person in enumerate(population.logs(population.user_ids)):
        if person.user_id not in replays:
            continue
        scores = model.score(make_requests([user], [[0]]))[0]
        told = replays[person.user_id]
        ranks = [
            rank for rank, surface in zip(told.ranks[f"cloud_{name}"], told.surfaces, strict=True) if surface == "feed"
        ]
        events = [event for event in heldout_events(person, cloud.catalogue) if event.surface is Surface.FEED]
        for rank, event in zip(ranks, events, strict=True):
            allowed = event.allowed(cloud.catalogue)[1:]
            order = np.flatnonzero(allowed)[np.argsort(-scores[allowed], kind="stable")]
            assert rank == order.tolist().index(event.target - 1)
            num_events += 1
    assert num_events > 50


def test_who_has_no_history_is_shown_what_is_popular(world):
    cloud, _, log = world
    for history in (np.zeros(0, np.int32), np.zeros(2, np.int32)):
        for scores in SimpleModels(fit(log), cloud.catalogue).score(history).values():
            assert scores.tolist() == cloud.catalogue.positives.tolist()


def test_the_private_log_changes_what_a_model_to_which_it_is_uploaded_says(result):
    for name in ITEM_TO_ITEM:
        known, uploaded = (result["arms"][f"{given}_{name}"]["ndcg_at_10"]["mean"] for given in ("cloud", "uploaded"))
        assert known != uploaded


def test_every_arm_and_every_difference_is_told_and_paired(result):
    simple = [f"{given}_{name}" for given in ("cloud", "uploaded") for name in ITEM_TO_ITEM]
    assert list(result["arms"]) == [*ARMS, "popularity", "oracle", *simple]
    assert list(result["differences"]) == [f"{left}-{right}" for left, right in PAIRS]
    for left, right in PAIRS:
        for metric in ("ndcg_at_10", "hit_rate_at_10"):
            gain = result["differences"][f"{left}-{right}"][metric]["mean"]
            assert gain == pytest.approx(result["arms"][left][metric]["mean"] - result["arms"][right][metric]["mean"])
    assert set(result["fit_seconds"]) == set(ITEM_TO_ITEM)


def test_the_number_of_processes_changes_nothing(world, bundled_workspace, monkeypatch):  # noqa: F811
    cloud, _, log = world
    monkeypatch.setattr(replay_pool, "_ALONE_BELOW", 0)
    monkeypatch.setattr(replay_pool, "CHUNK_USERS", 7)
    rivals = SimpleModels(fit(log), cloud.catalogue)
    assert replay(bundled_workspace, rivals, 1) == replay(bundled_workspace, rivals, 2)


def test_an_empty_workspace_names_the_command_that_fills_it(tmp_path):
    with pytest.raises(WorkspaceError, match="Run `tandem "):
        bench_edge_cloud(Workspace(tmp_path), seed=0, settings=SETTINGS, progress=Silent())
