"""Rounds of a sequence tower: by TFF as by hand, and what they begin with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from federated.simulation.strict.tower_rounds import draw_cohort, learn_tower, start_weights
from recsys.config.federated import StrictTowerSettings
from recsys.errors import FederationError
from recsys.progress import Silent

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tower"))
    command = [sys.executable, "-m", "tests.federated.simulation.strict.tower_rehearsal", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.federation
def test_three_rounds_equal_those_of_one_person_at_a_time_with_whole_tables(found):
    assert found["moved"] > 1e-2
    assert found["off_by"] < 1e-5
    assert (found["num_uploads"], found["num_losses"]) == (18, 3)


@pytest.mark.federation
def test_the_same_seed_gives_the_same_tower_however_people_are_packed(found):
    assert found["cuts_off_by"] < 1e-5


@pytest.mark.federation
def test_nothing_that_devices_train_on_is_left_behind(found):
    assert found["left"] == ["tower.log"]


def test_rounds_in_which_nobody_could_learn_are_refused(tmp_path):
    settings, counts = make_settings(), np.ones(4, np.int64)
    start = start_weights(np.ones((4, 4), np.int64), counts, settings, 0)
    lonely = [np.array([3, -1], np.int32), np.zeros(0, np.int32)]
    with pytest.raises(FederationError, match="Expected devices with two choices of items that are kept, got none"):
        learn_tower(lonely, start, counts, tmp_path, settings, worker_start_s=1.0, seed=0, progress=Silent())


def make_settings(**changed):
    return StrictTowerSettings(dim=3, history_length=4, num_heads=2, **changed)


def test_rows_give_back_how_much_more_often_items_follow_each_other_than_by_chance():
    # 0 and 1 follow each other alone, and so do 2 and 3: every pair that does has the same lift, all others have none.
    pairs = np.kron(np.eye(2), np.array([[0, 1], [1, 0]]))
    start = start_weights((8 * pairs).astype(np.int64), np.int64([4, 4, 4, 4]), make_settings(), 0)
    given = start.rows @ start.values[0] @ start.rows.T
    # Centred: a lift of 1 becomes 3/4, none -1/4.
    np.testing.assert_allclose(given / given[0, 1] * 0.75, pairs - 0.25, atol=1e-5)
    np.testing.assert_allclose(np.mean(np.sum(start.rows**2, axis=1)), 1, rtol=1e-5)


def test_heads_look_back_over_one_choice_and_four_and_the_longer_one_counts_half():
    start = start_weights(np.ones((4, 4), np.int64), np.int64([0, 1, 1, 2]), make_settings(), 0)
    np.testing.assert_allclose(np.exp(start.recency), [[1, 1 / 2, 1 / 4, 1 / 8], 0.5 ** (np.arange(4) / 4)], rtol=1e-5)
    np.testing.assert_array_equal(start.values[1], start.values[0] / 2)
    assert start.biases[0] < start.biases[1] == start.biases[2] < start.biases[3]


def test_who_has_one_choice_takes_no_other_ones_place():
    histories = [np.array(history, np.int32) for history in ([0, 1], [2], [3, -1], [2, 3, 1])]
    settings = make_settings(num_negatives=1, devices_per_round=2)
    for number in (1, 2, 3):
        assert [device for device, _ in draw_cohort(histories, 5, settings, 0, number)] == [0, 3]


def test_the_same_seed_begins_with_the_same_tower():
    once, again, other = (
        start_weights(np.ones((4, 4), np.int64), np.ones(4, np.int64), make_settings(), seed) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(one, two) for one, two in zip(once, again, strict=True))
    assert not np.array_equal(once.queries, other.queries)


def test_more_numbers_than_items_are_refused():
    with pytest.raises(FederationError, match=r"Expected at least 3 items, as many as `strict_tower.dim`, got 2\."):
        start_weights(np.ones((2, 2), np.int64), np.ones(2, np.int64), make_settings(), 0)
