import numpy as np
import pytest
import tensorflow as tf

from recsys.config.cloud import RankerSettings, TaskWeights
from recsys.errors import TrainingError
from recsys.features.ranking import RANKING_FEATURES
from recsys.features.tasks import TASKS
from recsys.models.ranker import Ranker
from tests.recsys.models.conftest import DIM, RANKER


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
    scale = np.ones(len(RANKING_FEATURES), np.float32)
    scale[1:4] = 1000, 0.01, 5
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
    with pytest.raises(TrainingError, match=r"num_candidates, 32\], got \[2, 5, 3\]"):
        ranker.adapt(np.zeros((2, 5, 3), np.float32))


def test_it_learns_to_put_first_what_a_feature_marks(ranker, rng):
    lists = inputs(rng, num_lists=64)
    marked = lists["features"][:, :, 2].argmax(axis=1)
    lists["labels"] = np.eye(5, dtype=np.float32)[marked][:, :, None]
    lists["candidate_mask"] = np.ones((64, 5), np.float32)
    lists["shown_mask"] = np.zeros((64, 5), np.float32)
    ranker.adapt(lists["features"])
    ranker.compile(optimizer=tf.keras.optimizers.Adam(0.02))
    step = tf.function(ranker.train_step)
    for _ in range(150):
        step(lists)
    assert (ranker(lists).numpy().argmax(axis=1) == marked).mean() > 0.9


def test_an_untrained_ranker_of_all_tasks_keeps_the_order_of_retrieval(multi_task_ranker, rng):
    lists = inputs(rng)
    order = multi_task_ranker(lists).numpy().argsort(axis=1)
    np.testing.assert_array_equal(order, lists["features"][:, :, 0].argsort(axis=1))


def test_one_task_has_neither_gates_nor_a_second_expert():
    names = [weight.name for weight in Ranker(DIM, RANKER).weights]
    assert not [name for name in names if "gate" in name or "expert_1" in name]
    assert [name for name in names if "expert_0" in name]


def test_each_task_has_a_gate_over_all_experts(multi_task_ranker):
    shapes = {weight.name: tuple(weight.shape) for weight in multi_task_ranker.trainable_weights}
    width = len(RANKING_FEATURES) + RANKER.match_units
    assert [shapes[f"gate_{task}/kernel:0"] for task in TASKS] == [(width, RANKER.num_experts)] * len(TASKS)


def test_the_score_is_the_log_odds_of_the_weighted_mean_of_probabilities():
    weights = TaskWeights(click=1, like=3)
    ranker = Ranker(DIM, RANKER.model_copy(update={"task_weights": weights}), ("click", "like"))
    log_odds = np.log(np.array([[[0.5 / 0.5, 0.1 / 0.9]]], np.float32))
    mean = (1 * 0.5 + 3 * 0.1) / 4
    np.testing.assert_allclose(ranker.combine(log_odds).numpy(), [[np.log(mean / (1 - mean))]], rtol=1e-5)


def test_a_task_without_weight_does_not_change_the_score():
    weights = TaskWeights(click=0, like=2)
    ranker = Ranker(DIM, RANKER.model_copy(update={"task_weights": weights}), ("click", "like"))
    np.testing.assert_array_equal(ranker.combine(tf.constant([[[5.0, -1.5]]])), [[-1.5]])


def test_tasks_that_are_all_without_weight_are_refused():
    settings = RankerSettings(task_weights=TaskWeights(click=0))
    with pytest.raises(TrainingError, match=r"Expected a weight above 0 for one of the tasks \['click'\]"):
        Ranker(DIM, settings)


def test_calibration_turns_outputs_into_log_odds_and_keeps_the_order(ranker, shuffle_weights, rng):
    shuffle_weights(ranker)
    lists = inputs(rng)
    ranker.calibrate(np.ones(1), np.zeros(1))
    outputs = ranker.outputs_of(lists).numpy()
    ranker.calibrate(np.array([2.0]), np.array([-3.0]))
    np.testing.assert_allclose(ranker.log_odds(lists).numpy(), 2 * outputs - 3, rtol=1e-5)
    assert (ranker(lists).numpy().argsort(axis=1) == outputs[:, :, 0].argsort(axis=1)).all()


def test_a_slope_that_turns_the_order_round_is_refused(ranker):
    with pytest.raises(TrainingError, match="slopes above 0"):
        ranker.calibrate(np.array([-1.0]), np.array([0.0]))


def test_what_was_not_shown_says_nothing_of_the_tasks(multi_task_ranker, shuffle_weights, rng):
    shuffle_weights(multi_task_ranker)
    lists = inputs(rng)
    nothing = np.zeros((2, 5, len(TASKS)), np.float32)
    masks = {"candidate_mask": np.ones((2, 5), np.float32), "shown_mask": np.zeros((2, 5), np.float32)}
    assert multi_task_ranker.compute_loss({**lists, "labels": nothing, **masks}) == 0
    masks["shown_mask"][1, 3] = 1
    output = multi_task_ranker.outputs_of(lists).numpy()[1, 3]
    np.testing.assert_allclose(
        multi_task_ranker.compute_loss({**lists, "labels": nothing, **masks}), np.log1p(np.exp(output[0])), rtol=1e-5
    )


def test_what_was_chosen_teaches_what_followed_it(multi_task_ranker, shuffle_weights, rng):
    shuffle_weights(multi_task_ranker)
    lists = inputs(rng, num_lists=1)
    labels = np.zeros((1, 5, len(TASKS)), np.float32)
    labels[0, 3, [0, 2]] = 1
    masks = {"candidate_mask": np.ones((1, 5), np.float32), "shown_mask": np.ones((1, 5), np.float32)}
    output = multi_task_ranker.outputs_of(lists).numpy()[0]
    listwise = np.log(np.exp(output[:, 0]).sum()) - output[3, 0]
    clicks = np.log1p(np.exp(output[:, 0])).sum() - output[3, 0]
    followed = np.log1p(np.exp(output[3, 1:])).sum() - output[3, 2]
    np.testing.assert_allclose(
        multi_task_ranker.compute_loss({**lists, "labels": labels, **masks}),
        listwise + (clicks + followed) / 5,
        rtol=1e-5,
    )


def test_what_follows_a_click_is_as_likely_as_the_click_times_its_chance_given_one(rng):
    ranker = Ranker(DIM, RANKER, ("click", "like"))
    ranker.calibrate(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    outputs = tf.constant([[np.log(0.5 / 0.5), (np.log(0.2 / 0.8) - 1.0) / 2.0]], tf.float32)
    chances = tf.sigmoid(ranker.log_odds_of(outputs)).numpy()
    np.testing.assert_allclose(chances, [[0.5, 0.5 * 0.2]], rtol=1e-5)


def test_it_learns_tasks_that_contradict_each_other(multi_task_ranker, rng):
    """Whoever clicks likes only what is low in one feature, and clicks on what is high in another."""
    lists = inputs(rng, num_lists=64)
    labels = np.zeros((64, 5, len(TASKS)), np.float32)
    labels[:, :, 0] = lists["features"][:, :, 3] > 0
    labels[:, :, 2] = (lists["features"][:, :, 2] < 0) & (labels[:, :, 0] > 0)
    ones = np.ones((64, 5), np.float32)
    multi_task_ranker.adapt(lists["features"])
    multi_task_ranker.compile(optimizer=tf.keras.optimizers.Adam(0.02))
    step = tf.function(multi_task_ranker.train_step)
    for _ in range(150):
        step({**lists, "labels": labels, "candidate_mask": ones, "shown_mask": ones})
    right = (multi_task_ranker.log_odds(lists).numpy() > 0) == (labels > 0)
    assert right[:, :, [0, 2]].mean() > 0.95
