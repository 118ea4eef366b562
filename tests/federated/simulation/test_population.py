from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from federated.simulation.population import Population
from recsys.cascade.cloud import CloudModel
from recsys.errors import WorkspaceError
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace  # noqa: F401


@pytest.fixture(scope="module")
def catalogue(bundled_workspace):  # noqa: F811
    return CloudModel.load(BundleRegistry(bundled_workspace).current()).catalogue


def test_every_event_of_every_device_is_read_once_and_in_time_order(bundled_workspace, catalogue):  # noqa: F811
    population = Population(bundled_workspace, catalogue)
    logs = list(population.logs(population.user_ids))
    assert sorted(log.user_id for log in logs) == population.user_ids
    assert sum(len(log.item_indexes) for log in logs) == bundled_workspace.read_card().num_events
    for log in logs:
        assert (np.diff(log.timestamps_ms) >= 0).all()
        assert (np.diff(log.parts) >= 0).all()  # consented, then private, then held out


def test_tiers_come_from_the_user_table(bundled_workspace, catalogue):  # noqa: F811
    users = pq.read_table(bundled_workspace.users).to_pylist()
    tiers = {row["user_id"]: row["device_tier"] for row in users}
    population = Population(bundled_workspace, catalogue)
    assert {log.user_id: log.tier for log in population.logs(population.user_ids)} == tiers


def test_a_sample_depends_on_the_seed_alone(bundled_workspace, catalogue):  # noqa: F811
    population = Population(bundled_workspace, catalogue)
    assert population.sample(5, seed=1) == population.sample(5, seed=1) != population.sample(5, seed=2)
    assert population.sample(None, seed=1) == population.sample(10**6, seed=1) == population.user_ids


def test_strangers_are_left_out(bundled_workspace, catalogue):  # noqa: F811
    assert list(Population(bundled_workspace, catalogue).logs(["stranger"])) == []


def test_a_workspace_without_devices_names_the_command_that_makes_them(tmp_path, catalogue):
    with pytest.raises(WorkspaceError, match=r"device logs in .*, got none. Run `tandem ingest"):
        Population(Workspace(tmp_path), catalogue)


def test_positives_of_a_part_are_counted_per_person(bundled_workspace, catalogue):  # noqa: F811
    population = Population(bundled_workspace, catalogue)
    logs = population.logs(population.user_ids)
    expected = {log.user_id: int((log.positive & (log.parts == 1)).sum()) for log in logs}
    assert population.count_positives("private") == {user: count for user, count in expected.items() if count}
