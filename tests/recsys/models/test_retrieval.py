import numpy as np
import pytest
import tensorflow as tf

from recsys.models.item_tower import ItemTower
from recsys.models.query_tower import QueryTower
from recsys.models.retrieval import RetrievalModel
from tests.recsys.models.conftest import DIM, HISTORY_LENGTH, NUM_CATEGORIES, NUM_ITEMS

CATEGORIES = np.zeros((NUM_ITEMS + 1, 4), np.int32)


def build(seed=1, dropout=0.0):
    tf.keras.utils.set_random_seed(seed)
    query_tower = QueryTower(DIM, HISTORY_LENGTH, num_blocks=1, num_heads=2, dropout=dropout)
    model = RetrievalModel(query_tower, ItemTower(NUM_ITEMS, NUM_CATEGORIES, DIM, dropout), CATEGORIES, seed)
    model.compile(optimizer=tf.keras.optimizers.Adam(0.01))
    return model


def batch(items=None, log_probability=None, history=(0, 0, 0, 0, 0, 3), target=(0, 0, 0, 0, 0, 5)):
    items = np.arange(NUM_ITEMS + 1) if items is None else np.asarray(items)
    log_probability = np.zeros(len(items)) if log_probability is None else log_probability
    return {
        "items": tf.constant(items, tf.int32),
        "log_probability": tf.constant(log_probability, tf.float32),
        "history": tf.constant([history], tf.int32),
        "target": tf.constant([target], tf.int32),
    }


def scores(model, item):
    vectors = model.item_tower(np.arange(NUM_ITEMS + 1, dtype=np.int32), CATEGORIES).numpy()
    mask = np.array([[0, 0, 0, 0, 0, 1]], np.float32)
    history = np.zeros((1, HISTORY_LENGTH, DIM), np.float32)
    history[0, -1] = vectors[item]
    return vectors[1:] @ model.query_tower.encode_last(history, mask).numpy()[0]


def test_over_the_whole_catalogue_the_loss_is_the_full_softmax():
    model = build()
    logits = scores(model, 3).astype(np.float64)
    expected = np.log(np.exp(logits).sum()) - logits[5 - 1]
    assert float(model.compute_loss(batch())) == pytest.approx(expected, abs=1e-5)


def test_candidates_are_places_in_the_batch_and_rare_ones_weigh_more():
    model = build()
    logits = scores(model, 3).astype(np.float64)[[3 - 1, 5 - 1, 9 - 1]]
    corrected = logits - np.log([1.0, 1.0, 0.25])
    expected = np.log(np.exp(corrected).sum()) - corrected[1]
    sampled = batch([0, 3, 5, 9], np.log([1, 1, 1, 0.25]), history=(0, 0, 0, 0, 0, 1), target=(0, 0, 0, 0, 0, 2))
    assert float(model.compute_loss(sampled)) == pytest.approx(expected, abs=1e-5)


def test_a_target_of_padding_does_not_count():
    model = build()
    alone = model.compute_loss(batch(history=(0, 0, 0, 0, 2, 3), target=(0, 0, 0, 0, 0, 5)))
    both = model.compute_loss(batch(history=(0, 0, 0, 0, 2, 3), target=(0, 0, 0, 0, 3, 5)))
    assert float(alone) != pytest.approx(float(both), abs=1e-4)


def test_training_learns_what_follows_what():
    model = build()
    step = tf.function(model.train_step)
    chain = batch(history=(0, 1, 2, 3, 4, 5), target=(1, 2, 3, 4, 5, 6))
    losses = [float(step(chain)["loss"]) for _ in range(60)]
    assert losses[0] > 2.0
    assert losses[-1] < 0.5
    vectors = model.item_tower(np.arange(NUM_ITEMS + 1, dtype=np.int32), CATEGORIES).numpy()
    history = chain["history"].numpy()
    queries = model.query_tower(vectors[history], (history > 0).astype(np.float32)).numpy()[0]
    assert (queries @ vectors[1:].T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4, 5]


def test_equal_seeds_give_equal_weights_with_dropout_and_other_seeds_others():
    def trained(seed):
        model = build(seed, dropout=0.3)
        step = tf.function(model.train_step)
        for _ in range(3):
            step(batch(history=(0, 1, 2, 3, 4, 5), target=(1, 2, 3, 4, 5, 6)))
        return np.concatenate([weight.numpy().ravel() for weight in model.trainable_weights])

    first = trained(1)
    np.testing.assert_array_equal(first, trained(1))
    assert np.abs(first - trained(2)).max() > 1e-3
