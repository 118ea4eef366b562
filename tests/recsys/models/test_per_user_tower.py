import numpy as np
import pytest
import tensorflow as tf

from recsys.models.device_tower import build_device_tower
from recsys.models.losses import listwise_loss
from recsys.models.per_user_tower import device_weight_shapes, score_per_user
from tests.recsys.models.conftest import DEVICE, DIM
from tests.recsys.models.test_device_tower import inputs

NUM_USERS = 3


def draw_users(settings, rng):
    """A tower, weights and lists for each user; one of them has seen nothing, one list is padded."""
    tower = build_device_tower(DIM, settings)
    weights = [rng.normal(0, 0.5, (NUM_USERS, *weight.shape)).astype(np.float32) for weight in tower.trainable_weights]
    lists = [inputs(rng, num_lists=4, seen=seen) for seen in (5, 0, 2)]
    lists[2]["candidates"][:, 6:] = 0
    return tower, weights, {name: np.stack([own[name] for own in lists]) for name in lists[0]}


def set_weights(tower, weights, user):
    for variable, values in zip(tower.trainable_weights, weights, strict=True):
        variable.assign(values[user])


@pytest.mark.parametrize("hidden_units", [(8, 4), (8,), ()])
def test_each_user_gets_the_scores_of_a_tower_with_the_users_weights(hidden_units, rng):
    tower, weights, lists = draw_users(DEVICE.model_copy(update={"hidden_units": hidden_units}), rng)
    scores = score_per_user([tf.constant(array) for array in weights], lists).numpy()
    assert scores.shape == (NUM_USERS, 4, 9)
    for user in range(NUM_USERS):
        set_weights(tower, weights, user)
        expected = tower({name: values[user] for name, values in lists.items()})["score"]
        np.testing.assert_allclose(scores[user], expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_the_sum_is_each_users_own(rng):
    tower, weights, lists = draw_users(DEVICE.model_copy(update={"hidden_units": (8, 4)}), rng)
    weights = [tf.constant(array) for array in weights]
    labels = tf.one_hot([2, 0, 5, 1], 9)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = tf.reduce_sum([listwise_loss(labels, own) for own in tf.unstack(score_per_user(weights, lists))])
    gradients = tape.gradient(loss, weights)
    for user in range(NUM_USERS):
        set_weights(tower, weights, user)
        with tf.GradientTape() as tape:
            own = tower({name: values[user] for name, values in lists.items()})["score"]
            loss = tf.reduce_sum(listwise_loss(labels, own))
        expected = tape.gradient(loss, tower.trainable_weights)
        for together, alone in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(together[user], alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("hidden_units", [(32, 16), (8,), ()])
def test_the_shapes_are_those_of_the_tower(hidden_units):
    settings = DEVICE.model_copy(update={"hidden_units": hidden_units})
    tower = build_device_tower(DIM, settings)
    assert device_weight_shapes(DIM, settings) == [tuple(weight.shape) for weight in tower.trainable_weights]
