import numpy as np
import tensorflow as tf

from recsys.config.federated import DeviceSettings
from recsys.features.history import standardise
from recsys.models.device_tower import build_device_tower, is_untrained
from recsys.models.losses import listwise_loss
from tests.recsys.models.conftest import DEVICE, DIM


def inputs(rng, num_lists=3, num_candidates=9, seen=5):
    mask = np.zeros((num_lists, DEVICE.history_length), np.float32)
    mask[:, DEVICE.history_length - seen :] = 1
    history = rng.normal(size=(num_lists, DEVICE.history_length, DIM)).astype(np.float32)
    return {
        "candidates": rng.normal(size=(num_lists, num_candidates, DIM)).astype(np.float32),
        "cloud_scores": standardise(rng.normal(size=(num_lists, num_candidates)).astype(np.float32)),
        "query": rng.normal(size=(num_lists, DIM)).astype(np.float32),
        "history": history * mask[:, :, None],
        "history_mask": mask,
    }


def test_untrained_it_orders_by_about_the_sum_of_the_cloud_score_and_its_own(device_tower, rng):
    lists = inputs(rng, num_lists=20, num_candidates=50)
    own = standardise(np.einsum("bnd,bd->bn", lists["candidates"], lists["query"]))
    prior = lists["cloud_scores"] + own
    assert np.corrcoef(device_tower(lists)["score"].numpy().ravel(), prior.ravel())[0, 1] > 0.99


def test_it_has_at_most_twenty_thousand_parameters_as_configured():
    assert build_device_tower(64, DeviceSettings()).count_params() <= 20_000


def test_equal_seeds_give_equal_towers():
    first, again, other = (build_device_tower(DIM, DEVICE, seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_tower_is_untrained_whatever_its_seed_until_a_weight_that_no_seed_draws_has_moved(device_tower):
    assert is_untrained(device_tower, DIM, DEVICE)
    device_tower.get_layer("hidden_0").kernel.assign_add(tf.ones((5 + 2 * DIM, 7)))
    assert is_untrained(device_tower, DIM, DEVICE)
    device_tower.get_layer("hidden_0").bias.assign_add([0, 0, 0, 1e-6, 0, 0, 0])
    assert not is_untrained(device_tower, DIM, DEVICE)


def test_lists_do_not_influence_each_other(device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    lists = inputs(rng)
    alone = device_tower({name: value[1:2] for name, value in lists.items()})["score"].numpy()
    np.testing.assert_allclose(device_tower(lists)["score"].numpy()[1:2], alone, atol=1e-5)


def test_padded_candidates_do_not_move_the_scores_of_the_others(device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    lists = inputs(rng, num_candidates=6)
    padded = dict(lists)
    padded["candidates"] = np.pad(lists["candidates"], ((0, 0), (0, 3), (0, 0)))
    padded["cloud_scores"] = np.pad(lists["cloud_scores"], ((0, 0), (0, 3)))
    scores = device_tower(padded)["score"].numpy()
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[:, :6], device_tower(lists)["score"].numpy(), atol=1e-5)


def test_padding_of_the_history_may_hold_anything(device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    lists = inputs(rng, seen=2)
    littered = dict(lists)
    littered["history"] = np.where(lists["history_mask"][:, :, None] > 0, lists["history"], 8.0).astype(np.float32)
    np.testing.assert_allclose(device_tower(lists)["score"], device_tower(littered)["score"], atol=1e-5)


def test_an_empty_history_gives_finite_scores(device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    assert np.isfinite(device_tower(inputs(rng, seen=0))["score"].numpy()).all()


def test_the_scale_of_the_vectors_does_not_matter(device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    lists = inputs(rng)
    scaled = {
        name: value * (30.0 if name in ("candidates", "query", "history") else 1.0) for name, value in lists.items()
    }
    np.testing.assert_allclose(device_tower(lists)["score"], device_tower(scaled)["score"], atol=1e-3)


def test_it_learns_to_prefer_what_resembles_the_recent_history(device_tower, rng):
    lists = inputs(rng, num_lists=64)
    lists["candidates"][:, 4] = lists["history"][:, -1] + rng.normal(0, 0.1, (64, DIM))
    labels = np.zeros((64, 9), np.float32)
    labels[:, 4] = 1
    optimizer = tf.keras.optimizers.SGD(0.1)
    for _ in range(40):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(listwise_loss(labels, device_tower(lists)["score"]))
        optimizer.minimize(loss, device_tower.trainable_weights, tape)
    fresh = inputs(rng, num_lists=64)
    fresh["candidates"][:, 4] = fresh["history"][:, -1]
    assert (device_tower(fresh)["score"].numpy().argmax(axis=1) == 4).mean() > 0.8
