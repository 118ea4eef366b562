"""The written-out gradients are those that TensorFlow's tape finds."""

import numpy as np
import pytest
import tensorflow as tf

from recsys.features.history import standardise
from recsys.models.device_gradients import DeviceBatch, DeviceMathematics, flatten_weights
from recsys.models.losses import listwise_loss
from tests.recsys.models.conftest import DEVICE, DIM

NUM_LISTS, NUM_CANDIDATES = 6, 9


def draw_batch(rng, *, num_lists=NUM_LISTS, num_short=0, num_absent=0, seen=(5, 0, 1, 3, 5, 2)):
    """Lists of which the last `num_absent` are padding; of the first, the last `num_short` candidates are none."""
    candidates = rng.normal(size=(num_lists, NUM_CANDIDATES, DIM)).astype(np.float32)
    candidate_mask = np.ones((num_lists, NUM_CANDIDATES), np.float32)
    candidate_mask[0, NUM_CANDIDATES - num_short :] = 0
    mask = np.stack([(np.arange(DEVICE.history_length) >= DEVICE.history_length - count) for count in seen])
    mask = mask.astype(np.float32)[:num_lists]
    return DeviceBatch(
        candidates=candidates * candidate_mask[:, :, None],
        cloud_scores=standardise(rng.normal(size=(num_lists, NUM_CANDIDATES)).astype(np.float32)) * candidate_mask,
        query=rng.normal(size=(num_lists, DIM)).astype(np.float32),
        history=rng.normal(size=(num_lists, DEVICE.history_length, DIM)).astype(np.float32) * mask[:, :, None],
        history_mask=mask,
        candidate_mask=candidate_mask,
        target=draw_target(rng, candidate_mask),
        example_mask=(np.arange(num_lists) < num_lists - num_absent).astype(np.float32),
    )


def draw_target(rng, candidate_mask):
    """Shares of the candidates that are there."""
    drawn = rng.dirichlet(np.ones(NUM_CANDIDATES), len(candidate_mask)) * candidate_mask
    return (drawn / drawn.sum(axis=1, keepdims=True)).astype(np.float32)


def tape_gradient(tower, batch):
    """Loss and flat gradient of the lists that are no padding, by the tape through the Keras tower."""
    rows = batch.example_mask > 0
    with tf.GradientTape() as tape:
        scores = tower({name: getattr(batch, name)[rows] for name in tower.input})["score"]
        loss = tf.reduce_mean(listwise_loss(batch.target[rows], scores, batch.candidate_mask[rows]))
    gradients = tape.gradient(loss, tower.trainable_weights)
    return loss.numpy(), np.concatenate([gradient.numpy().ravel() for gradient in gradients])


BATCHES = {"full": {}, "short lists": {"num_short": 4}, "short batch": {"num_absent": 4, "num_short": 2}}


@pytest.mark.parametrize("kind", BATCHES)
def test_the_gradient_is_that_of_the_tape(kind, device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    for _ in range(3):
        batch = draw_batch(rng, **BATCHES[kind])
        loss, gradient = DeviceMathematics(device_tower).gradient(flatten_weights(device_tower), batch)
        expected_loss, expected = tape_gradient(device_tower, batch)
        assert loss.numpy() == pytest.approx(expected_loss, abs=1e-5)
        np.testing.assert_allclose(gradient, expected, atol=1e-5)
        assert np.abs(expected[:6]).max() > 1e-4  # the attention's weights have a gradient at all


def test_the_scores_are_the_towers(device_tower, shuffle_weights, rng):
    shuffle_weights(device_tower)
    batch = draw_batch(rng)
    scores = DeviceMathematics(device_tower).score(flatten_weights(device_tower), *batch[:5])
    given = {name: getattr(batch, name) for name in device_tower.input}
    np.testing.assert_allclose(scores, device_tower(given)["score"], atol=1e-6)


def test_a_batch_of_padding_alone_has_no_gradient(device_tower, rng):
    loss, gradient = DeviceMathematics(device_tower).gradient(
        flatten_weights(device_tower), draw_batch(rng, num_absent=NUM_LISTS)
    )
    assert loss.numpy() == 0
    assert not np.any(gradient)


def test_what_the_padding_holds_does_not_matter(device_tower, rng):
    batch = draw_batch(rng, num_absent=2)
    present = batch.example_mask[:, None]
    target = np.where(present > 0, batch.target, 1).astype(np.float32)
    littered = batch._replace(query=batch.query + 7 * (1 - present), target=target)
    mathematics, weights = DeviceMathematics(device_tower), flatten_weights(device_tower)
    np.testing.assert_array_equal(mathematics.gradient(weights, batch)[1], mathematics.gradient(weights, littered)[1])


def test_the_flat_weights_are_the_towers_in_their_order(device_tower):
    flat = flatten_weights(device_tower)
    assert flat.dtype == np.float32
    arrays = [weight.numpy().ravel() for weight in device_tower.trainable_weights]
    np.testing.assert_array_equal(flat, np.concatenate(arrays))
    assert DeviceMathematics(device_tower).num_weights == len(flat) == device_tower.count_params()
