"""Tiny towers, whose every size differs from the others so that no axis can be mistaken."""

import numpy as np
import pytest
import tensorflow as tf

from recsys.config.cloud import RankerSettings
from recsys.config.federated import DeviceSettings
from recsys.features.tasks import TASKS
from recsys.models.device_tower import build_device_tower
from recsys.models.item_tower import ItemTower
from recsys.models.query_tower import QueryTower
from recsys.models.ranker import Ranker

NUM_ITEMS = 20
NUM_CATEGORIES = 3
DIM = 8
HISTORY_LENGTH = 6
DEVICE = DeviceSettings(history_length=5, hidden_units=(7, 4))
RANKER = RankerSettings(hidden_units=(7, 4), num_cross_layers=2, match_units=3, num_experts=3)


@pytest.fixture(autouse=True)
def _fixed_initial_weights():
    tf.keras.utils.set_random_seed(3)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def item_tower():
    return ItemTower(NUM_ITEMS, NUM_CATEGORIES, DIM, id_dropout=0.5)


@pytest.fixture
def query_tower():
    return QueryTower(DIM, HISTORY_LENGTH, num_blocks=2, num_heads=2, dropout=0.5)


@pytest.fixture
def ranker():
    return Ranker(DIM, RANKER)


@pytest.fixture
def multi_task_ranker():
    return Ranker(DIM, RANKER, TASKS)


@pytest.fixture
def device_tower():
    return build_device_tower(DIM, DEVICE, seed=3)


@pytest.fixture
def shuffle_weights(rng):
    """Moves every weight of a model away from where it starts, zeros too."""

    def shuffle(model):
        for weight in model.weights:
            weight.assign_add(rng.normal(0.0, 0.2, weight.shape).astype(np.float32))
        return model

    return shuffle
