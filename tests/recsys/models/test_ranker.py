import numpy as np
import pytest
import tensorflow as tf

from recsys.errors import TrainingError
from recsys.features.ranking import RANKING_FEATURES
from tests.recsys.models.conftest import DIM


def inputs(rng, num_lists=2, num_candidates=5):
    return {
        "query": rng.normal(size=(num_lists, DIM)).astype(np.float32),
        "candidates": rng.normal(size=(num_lists, num_candidates, DIM)).astype(np.float32),
        "features": rng.normal(size=(num_lists, num_candidates, len(RANKING_FEATURES))).astype(np.float32),
    }


def test_an_untrained_ranker_keeps_the_order_of_retrieval(ranker, rng):
    lists = inputs(rng)
    ranker.adapt(lists["features"] * 10 + 3)
    np.testing.assert_array_equal(ranker(lists).numpy(), lists["features"][:, :, 0])


def test_each_candidate_is_scored_alone(ranker, shuffle_weights, rng):
    shuffle_weights(ranker)
    lists = inputs(rng)
    reordered = {"query": lists["query"], **{name: lists[name][:, ::-1] for name in ("candidates", "features")}}
    np.testing.assert_allclose(ranker(lists).numpy()[:, ::-1], ranker(reordered).numpy(), atol=1e-5)


def test_adapting_makes_the_unit_of_a_feature_immaterial(ranker, shuffle_weights, rng):
    shuffle_weights(ranker)
    lists = inputs(rng, num_lists=50)
    scale = np.array([1, 1000, 0.01, 5, 1, 1, 1, 1], np.float32)
    ranker.adapt(lists["features"])
    before = ranker(lists).numpy()
    lists["features"] = lists["features"] * scale + 7 * (scale != 1)
    ranker.adapt(lists["features"])
    np.testing.assert_allclose(ranker(lists).numpy(), before, atol=2e-3)


def test_a_constant_feature_does_not_break_the_scale(ranker, rng):
    lists = inputs(rng)
    lists["features"][:, :, 3] = 4.0
    ranker.adapt(lists["features"])
    assert np.isfinite(ranker(lists).numpy()).all()


def test_features_that_are_not_finite_are_refused(ranker, rng):
    features = inputs(rng)["features"]
    features[0, 0, 0] = np.nan
    with pytest.raises(TrainingError, match="Expected finite ranking features"):
        ranker.adapt(features)


def test_features_of_another_number_are_refused(ranker):
    with pytest.raises(TrainingError, match=r"num_candidates, 8\], got \[2, 5, 3\]"):
        ranker.adapt(np.zeros((2, 5, 3), np.float32))


def test_it_learns_to_put_first_what_a_feature_marks(ranker, rng):
    lists = inputs(rng, num_lists=64)
    marked = lists["features"][:, :, 2].argmax(axis=1)
    lists["labels"] = np.eye(5, dtype=np.float32)[marked]
    lists["candidate_mask"] = np.ones((64, 5), np.float32)
    ranker.adapt(lists["features"])
    ranker.compile(optimizer=tf.keras.optimizers.Adam(0.02))
    step = tf.function(ranker.train_step)
    for _ in range(150):
        step(lists)
    assert (ranker(lists).numpy().argmax(axis=1) == marked).mean() > 0.9
