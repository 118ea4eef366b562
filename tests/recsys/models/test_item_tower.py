import numpy as np
import tensorflow as tf

from tests.recsys.models.conftest import DIM

NO_CATEGORIES = np.zeros((1, 4), np.int32)


def vector(tower, item, categories=(0, 0, 0, 0), seed=None):
    return tower(np.array([item], np.int32), np.array([categories], np.int32), seed).numpy()[0]


def test_an_unknown_item_is_placed_by_its_content_alone(item_tower):
    known_part = vector(item_tower, 4, (1, 0, 0, 0)) - vector(item_tower, 0, (1, 0, 0, 0))
    np.testing.assert_allclose(known_part, vector(item_tower, 4), atol=1e-6)
    assert np.abs(known_part).max() > 0.01


def test_an_unknown_item_without_content_is_zero(item_tower):
    np.testing.assert_array_equal(vector(item_tower, 0), np.zeros(DIM, np.float32))


def test_content_is_the_mean_of_the_categories_whatever_their_order_and_padding(item_tower):
    both = vector(item_tower, 0, (1, 3, 0, 0))
    mean = (vector(item_tower, 0, (1, 0, 0, 0)) + vector(item_tower, 0, (3, 0, 0, 0))) / 2
    np.testing.assert_allclose(both, mean, atol=1e-6)
    np.testing.assert_allclose(both, vector(item_tower, 0, (0, 3, 0, 1)), atol=1e-6)


def test_training_hides_the_id_of_the_configured_share_of_items_and_the_seed_decides_of_which(item_tower):
    items = np.full(4000, 7, np.int32)
    categories = np.tile(np.array([[2, 0, 0, 0]], np.int32), (4000, 1))
    vectors = item_tower(items, categories, tf.constant([1, 2])).numpy()
    hidden = (np.abs(vectors - vector(item_tower, 0, (2, 0, 0, 0))) < 1e-6).all(axis=1)
    seen = (np.abs(vectors - vector(item_tower, 7, (2, 0, 0, 0))) < 1e-6).all(axis=1)
    assert (hidden | seen).all()
    assert abs(hidden.mean() - 0.5) < 0.05
    np.testing.assert_array_equal(vectors, item_tower(items, categories, tf.constant([1, 2])).numpy())
    assert not np.array_equal(vectors, item_tower(items, categories, tf.constant([1, 3])).numpy())
