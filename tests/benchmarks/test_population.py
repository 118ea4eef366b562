"""A small population of the kind that `tandem bench population` draws, and one round out of it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.population.bench import bench_population
from benchmarks.population.drawing import draw_log, write_devices
from cli.bench.population import tabulate_population
from data.lawfulness import find_lawful
from federated.simulation.population import Population
from recsys.cascade.cloud import CloudModel
from recsys.progress import Silent
from recsys.storage.registry import BundleRegistry
from recsys.storage.workspace import Workspace
from tests.bundles import bundled_workspace  # noqa: F401

NUM_PEOPLE = 1_030
"""They fill three shards."""


@pytest.fixture(scope="module")
def drawn(bundled_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:  # noqa: F811
    place = Workspace(tmp_path_factory.mktemp("population"))
    draw_log(bundled_workspace, place, NUM_PEOPLE, num_events=10, seed=3)
    write_devices(place, NUM_PEOPLE)
    return place


def list_people(place: Workspace) -> Population:
    population = Population(place, CloudModel.load(BundleRegistry(place).current()).catalogue)
    assert len(population.user_ids) == NUM_PEOPLE
    return population


def test_everybody_has_a_history_of_ten_of_which_seven_are_consented_and_two_private(drawn: Workspace) -> None:
    events = pq.read_table(drawn.devices)
    assert find_lawful(events).all()
    assert len(set(events.column("event_id").to_pylist())) == events.num_rows == 10 * NUM_PEOPLE
    card = drawn.read_card()
    assert (card.num_users, card.num_events) == (NUM_PEOPLE, events.num_rows)
    assert Counter(events.column("part").to_pylist()) == {
        "consented": card.num_consented,
        "private": card.num_private,
        "heldout": card.num_heldout,
    }
    population = list_people(drawn)
    assert len(sorted(drawn.devices.iterdir())) == 3
    for log in population.logs(population.user_ids):
        assert log.parts.tolist() == [0] * 7 + [1] * 2 + [2]
        assert (np.diff(log.timestamps_ms) > 0).all()
        assert (log.item_indexes > 0).all()
        assert log.tier in {"low", "mid", "high"}


def test_equal_seeds_draw_equal_logs(drawn: Workspace, bundled_workspace: Workspace, tmp_path: Path) -> None:  # noqa: F811
    for seed in (3, 4):
        place = Workspace(tmp_path / str(seed))
        draw_log(bundled_workspace, place, NUM_PEOPLE, num_events=10, seed=seed)
        write_devices(place, NUM_PEOPLE)
        same = [path.read_bytes() == (drawn.devices / path.name).read_bytes() for path in place.devices.iterdir()]
        assert same == [seed == 3] * 3


def test_a_shard_is_read_when_the_first_of_its_people_is_due_and_others_never(drawn: Workspace, tmp_path: Path) -> None:
    shutil.copytree(drawn.root, tmp_path / "workspace")
    place = Workspace(tmp_path / "workspace")
    population = list_people(place)
    shards = [set(pq.read_table(path).column("user_id").to_pylist()) for path in sorted(place.devices.iterdir())]
    for shard in (1, 2):
        (place.devices / f"shard-000{shard}.parquet").write_bytes(b"broken")
    logs = population.logs(population.user_ids)
    assert {next(logs).user_id for _ in shards[0]} == shards[0]
    with pytest.raises(pa.ArrowInvalid):
        next(logs)
    some = sorted(shards[0])[:5]
    assert [log.user_id for log in population.logs(some)] == some


@pytest.mark.federation
def test_a_round_out_of_a_population_is_measured_and_nothing_is_left(
    bundled_workspace: Workspace,  # noqa: F811
    tmp_path: Path,
) -> None:
    shutil.copytree(bundled_workspace.root, tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")
    result = bench_population(workspace, [500], events=[20], clients=6, seed=1, progress=Silent())
    (found,) = result["populations"]
    assert (found["num_people"], found["num_events"]) == (500, 20)
    assert 0 < found["round"]["num_clients"] <= 6
    assert found["round"]["num_examples"] >= found["round"]["num_clients"]
    assert found["device_bytes"] > 100_000
    assert list((workspace.root / "bench").iterdir()) == []


def test_each_population_is_shown_in_a_row() -> None:
    told = {"list_seconds": 1.25, "round_seconds": 3.0, "num_clients": 48, "num_examples": 90, "peak_bytes": 9e8}
    found = {"num_people": 1_000, "num_events": 50, "device_bytes": 2e6, "round": told}
    result = {"populations": [{**found, "shards": {"seconds": 2.0, "peak_bytes": 3e8}}]}
    cells = [next(iter(column.cells)) for column in tabulate_population(result).columns]
    assert cells == ["1,000", "50,000", "2 MB", "2.0 s", "300 MB", "1.2 s", "48", "3.0 s", "900 MB"]
