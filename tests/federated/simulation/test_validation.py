"""Lists that can be checked on paper: vectors are unit vectors, and the tower is the untrained one."""

import numpy as np
import pytest

from federated.device.examples import Choice
from federated.simulation import validation as module
from federated.simulation.validation import Validation
from recsys.config.federated import DeviceSettings
from recsys.models.device_tower import build_device_tower

DIM = 4
SETTINGS = DeviceSettings(history_length=3, hidden_units=(4,))
VECTORS = np.concatenate([np.zeros((1, DIM)), np.eye(DIM)]).astype(np.float32)


def choose(item, candidates, query=None):
    """A choice before a list that the cloud has ordered as it stands here."""
    scores = -np.arange(len(candidates), dtype=np.float32)
    query = np.zeros(DIM, np.float32) if query is None else VECTORS[query] * 100
    return Choice(item, np.asarray(candidates, np.int32), scores, query, np.zeros(0, np.int32))


def build(*users):
    return Validation.from_choices(users, VECTORS, SETTINGS)


def test_the_order_of_the_cloud_is_judged_by_the_place_of_the_choice():
    lists = build([choose(1, [1, 2, 3, 4])], [choose(3, [1, 2, 3, 4])])
    np.testing.assert_allclose(lists.ndcg_of_cloud(), [1.0, 1 / np.log2(4)])


def test_a_choice_that_is_not_in_its_list_counts_nothing():
    assert build([choose(4, [1, 2]), choose(4, [])]).ndcg_of_cloud() == [0]


def test_a_user_is_the_mean_of_its_lists_however_many_the_others_have():
    lists = build([choose(1, [1, 2]), choose(4, [1, 2])], [choose(1, [1, 2])], [], [choose(4, [1])] * 3)
    np.testing.assert_allclose(lists.ndcg_of_cloud(), [0.5, 1.0, 0.0])


def test_the_untrained_tower_follows_the_query_where_the_cloud_does_not(monkeypatch):
    tower = build_device_tower(DIM, SETTINGS)
    lists = build([choose(3, [1, 3, 2], query=3)], [choose(1, [1, 2, 3], query=1)])
    np.testing.assert_allclose(lists.ndcg_of_cloud(), [1 / np.log2(3), 1.0])
    assert lists.ndcg(tower) == pytest.approx([1.0, 1.0])
    monkeypatch.setattr(module, "_LISTS_PER_CALL", 1)
    assert lists.ndcg(tower) == pytest.approx([1.0, 1.0])


def test_a_bias_of_an_item_moves_it_up():
    tower = build_device_tower(DIM, SETTINGS)
    lists = build([choose(3, [1, 2, 3])])
    assert lists.ndcg(tower) == pytest.approx([1 / np.log2(4)])
    assert lists.ndcg(tower, np.float32([0, 0, 0, 9, 0])) == pytest.approx([1.0])


def test_each_user_can_be_judged_by_a_tower_of_their_own():
    # The last but one weight of a tower is how much the cloud's score and the query's count.
    tower = build_device_tower(DIM, SETTINGS)
    lists = build([choose(3, [1, 2, 3]), choose(1, [1, 2, 3])], [choose(3, [1, 2, 3])])
    own = [np.repeat(weight.numpy()[None], 2, axis=0) for weight in tower.trainable_weights]
    own[-2][1] = [[-1.0], [0.0]]  # the second person turns the cloud's order round
    np.testing.assert_allclose(lists.ndcg_each(tower, own), [(1 + 1 / np.log2(4)) / 2, 1.0])
