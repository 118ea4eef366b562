import numpy as np
import pytest
import tensorflow as tf

from recsys.errors import ConfigError
from recsys.models.query_tower import QueryTower, drop
from tests.recsys.models.conftest import DIM, HISTORY_LENGTH


def window(rng, *lengths):
    history = rng.normal(size=(len(lengths), HISTORY_LENGTH, DIM)).astype(np.float32)
    mask = np.zeros((len(lengths), HISTORY_LENGTH), np.float32)
    for row, length in enumerate(lengths):
        mask[row, HISTORY_LENGTH - length :] = 1
    return history * mask[:, :, None], mask


def test_a_query_does_not_change_when_the_future_does(query_tower, shuffle_weights, rng):
    shuffle_weights(query_tower)
    history, mask = window(rng, 6)
    changed = history.copy()
    changed[:, 4:] = rng.normal(size=(1, 2, DIM))
    before, after = query_tower(history, mask).numpy(), query_tower(changed, mask).numpy()
    np.testing.assert_allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert (np.abs(before[:, 4:] - after[:, 4:]).max(axis=2) > 1e-3).all()


def test_padding_may_hold_anything(query_tower, shuffle_weights, rng):
    shuffle_weights(query_tower)
    history, mask = window(rng, 2)
    littered = np.where(mask[:, :, None] > 0, history, 9.0).astype(np.float32)
    np.testing.assert_allclose(
        query_tower.encode_last(history, mask), query_tower.encode_last(littered, mask), atol=1e-6
    )


def test_the_last_query_is_that_of_the_last_slot(query_tower, shuffle_weights, rng):
    shuffle_weights(query_tower)
    history, mask = window(rng, 6, 3, 1, 0)
    np.testing.assert_allclose(query_tower.encode_last(history, mask), query_tower(history, mask)[:, -1, :], atol=1e-5)


def test_order_counts(query_tower, shuffle_weights, rng):
    shuffle_weights(query_tower)
    history, mask = window(rng, 6)
    swapped = history[:, [0, 1, 3, 2, 4, 5]]
    assert np.abs(query_tower.encode_last(history, mask) - query_tower.encode_last(swapped, mask)).max() > 1e-3


def test_an_empty_history_has_one_learned_finite_vector(query_tower, shuffle_weights, rng):
    shuffle_weights(query_tower)
    history, mask = window(rng, 0, 0)
    queries = query_tower(history + 5.0, mask).numpy()
    assert np.isfinite(queries).all()
    np.testing.assert_array_equal(queries, np.broadcast_to(queries[0, 0], queries.shape))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(query_tower.encode_last(history, mask))
    assert tape.gradient(total, query_tower.weights[1]) is not None


def test_equal_seeds_drop_the_same_and_other_seeds_drop_other_activations(query_tower, rng):
    history, mask = window(rng, 6)
    first, again, other = (query_tower(history, mask, tf.constant(seed)).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_dropout_keeps_the_mean():
    dropped = drop(tf.ones(10_000), 0.25, tf.constant([1, 2])).numpy()
    np.testing.assert_allclose(np.unique(dropped), [0.0, 4 / 3], rtol=1e-6)
    assert dropped.mean() == pytest.approx(1.0, abs=0.03)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="Expected `dim` to be a multiple of `num_heads`, got 8 and 3"):
        QueryTower(DIM, HISTORY_LENGTH, num_blocks=1, num_heads=3)
