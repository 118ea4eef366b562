"""What LiteRT makes of a device's examples is what Keras makes of them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from federated.device.examples import LocalExamples
from federated.device.training import LocalTrainer
from recsys.config.federated import DeviceSettings
from recsys.errors import BundleError
from recsys.models.device_export import export_device_tower, export_device_training
from recsys.models.device_gradients import flatten_weights
from recsys.models.device_tower import build_device_tower
from recsys.models.losses import listwise_loss

DIM, NUM_ITEMS = 8, 40
SETTINGS = DeviceSettings(history_length=5, hidden_units=(7, 4), num_candidates=6, batch_size=4)
RATE = 0.2


@pytest.fixture(scope="module")
def vectors():
    drawn = np.random.default_rng(1).normal(size=(NUM_ITEMS + 1, DIM)).astype(np.float32)
    drawn[0] = 0
    return drawn


@pytest.fixture
def tower():
    return build_device_tower(DIM, SETTINGS, seed=3)


@pytest.fixture
def trainer(tower):
    return LocalTrainer(export_device_training(tower, SETTINGS))


def draw_examples(count, seed=2):
    rng = np.random.default_rng(seed)
    candidates = np.stack([rng.permutation(np.arange(1, NUM_ITEMS + 1))[:6] for _ in range(count)]).astype(np.int32)
    scores = rng.normal(size=(count, 6)).astype(np.float32)
    candidates[0, 4:], scores[0, 4:] = 0, 0  # a list that was shorter
    history = rng.integers(1, NUM_ITEMS + 1, (count, 5)).astype(np.int32)
    history[-1, :3] = 0
    query = rng.normal(size=(count, DIM)).astype(np.float32)
    target = np.where(candidates > 0, rng.random((count, 6)), 0).astype(np.float32)
    return LocalExamples(candidates, scores, query, history, target / target.sum(axis=1, keepdims=True))


def train_in_keras(tower, examples, vectors, num_epochs):
    """The rounds' local training: gradient descent over batches in their order."""
    optimizer = tf.keras.optimizers.SGD(RATE)
    for _ in range(num_epochs):
        for first in range(0, len(examples), SETTINGS.batch_size):
            rows = slice(first, first + SETTINGS.batch_size)
            with tf.GradientTape() as tape:
                scores = tower(
                    {
                        "candidates": vectors[examples.candidates[rows]],
                        "cloud_scores": examples.cloud_scores[rows],
                        "query": examples.query[rows],
                        "history": vectors[examples.history[rows]],
                        "history_mask": (examples.history[rows] > 0).astype(np.float32),
                    }
                )["score"]
                mask = (examples.candidates[rows] > 0).astype(np.float32)
                loss = tf.reduce_mean(listwise_loss(examples.target[rows], scores, mask))
            optimizer.minimize(loss, tower.trainable_weights, tape)
    return flatten_weights(tower)


@pytest.mark.parametrize(("count", "num_epochs"), [(4, 1), (10, 1), (3, 2), (11, 3)])
def test_a_devices_weights_are_those_of_keras_on_the_same_examples(count, num_epochs, tower, trainer, vectors):
    examples = draw_examples(count)
    update = trainer.train(examples, vectors, RATE, num_epochs)
    assert np.abs(update.weights - trainer.start).max() > 0.01
    np.testing.assert_allclose(update.weights, train_in_keras(tower, examples, vectors, num_epochs), atol=1e-5)
    assert len(update.losses) == num_epochs


def test_each_call_starts_anew(trainer, vectors):
    first = trainer.train(draw_examples(5), vectors, RATE, 1)
    other = trainer.train(draw_examples(5, seed=9), vectors, RATE, 1)
    again = trainer.train(draw_examples(5), vectors, RATE, 1)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert np.abs(first.weights - other.weights).max() > 1e-3


def test_it_starts_from_the_weights_that_are_given(trainer, vectors):
    whole = trainer.train(draw_examples(5), vectors, RATE, 2)
    half = trainer.train(draw_examples(5), vectors, RATE, 1)
    rest = trainer.train(draw_examples(5), vectors, RATE, 1, start=half.weights)
    np.testing.assert_array_equal(rest.weights, whole.weights)
    assert (*half.losses, *rest.losses) == whole.losses


def test_the_loss_falls_from_epoch_to_epoch(trainer, vectors):
    losses = trainer.train(draw_examples(8), vectors, 0.05, 5).losses
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))


def test_without_examples_the_weights_stay(trainer, vectors):
    none = LocalExamples(*(rows[:0] for rows in vars(draw_examples(3)).values()))
    update = trainer.train(none, vectors, RATE, 2)
    np.testing.assert_array_equal(update.weights, trainer.start)
    assert update.losses == (0.0, 0.0)


def test_it_says_how_many_lists_and_candidates_it_takes(trainer):
    assert (trainer.batch_size, trainer.num_candidates) == (4, 6)


def test_examples_of_other_settings_are_refused(trainer, vectors):
    wide = LocalExamples(**{**vars(draw_examples(3)), "history": np.ones((3, 9), np.int32)})
    with pytest.raises(BundleError, match=r"Expected 'history' \[4, 5, 8\] .*'train', got \[4, 9, 8\]"):
        trainer.train(wide, vectors, RATE, 1)


def test_a_tower_that_only_reranks_is_refused(tower):
    with pytest.raises(BundleError, match=r"Expected the signature 'train' in the model, got \['rerank'\]"):
        LocalTrainer(export_device_tower(tower))
