import numpy as np
import pytest
import tensorflow as tf

from recsys.models.losses import joint_log_odds, listwise_loss, softmax_loss


def test_equal_scores_cost_the_logarithm_of_the_number_of_candidates():
    losses = listwise_loss(tf.constant([[0.0, 1.0, 0.0, 0.0]]), tf.zeros((1, 4)))
    assert losses.numpy().tolist() == pytest.approx([np.log(4)])


def test_masked_candidates_take_no_part():
    labels = tf.constant([[1.0, 0.0, 0.0]])
    with_absent = listwise_loss(labels, tf.constant([[1.0, 2.0, 50.0]]), tf.constant([[1.0, 1.0, 0.0]]))
    without = listwise_loss(labels[:, :2], tf.constant([[1.0, 2.0]]))
    np.testing.assert_allclose(with_absent, without, rtol=1e-6)


def test_a_list_without_a_choice_costs_nothing():
    losses = listwise_loss(tf.constant([[0.0, 0.0], [1.0, 0.0]]), tf.constant([[3.0, -1.0], [0.0, 0.0]]))
    assert losses.numpy().tolist() == pytest.approx([0.0, np.log(2)])


def test_one_thing_and_then_another_are_as_likely_as_their_product():
    joint = tf.sigmoid(joint_log_odds(tf.math.log([0.5 / 0.5, 0.9 / 0.1]), tf.math.log([0.2 / 0.8, 0.5 / 0.5])))
    np.testing.assert_allclose(joint, [0.1, 0.45], rtol=1e-5)


def test_log_odds_of_two_near_certain_things_keep_their_digits():
    """1 - σ(30) σ(30) is 2 e⁻³⁰ but for what is far smaller, though both factors are 1 in float32."""
    np.testing.assert_allclose(joint_log_odds(tf.constant(30.0), tf.constant(30.0)), 30.0 - np.log(2.0), rtol=1e-5)


def test_the_shared_softmax_and_its_gradients_are_those_of_tensorflow():
    rng = np.random.default_rng(4)
    queries = tf.constant(rng.normal(size=(5, 3)), tf.float32)
    candidates = tf.constant(rng.normal(size=(7, 3)), tf.float32)
    targets = tf.constant([0, 6, 2, 2, 5])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([queries, candidates])
        logits = tf.matmul(queries, candidates, transpose_b=True)
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits) * [1.0, 2.0, 3.0, 4.0, 5.0]
        losses = softmax_loss(queries, candidates, targets) * [1.0, 2.0, 3.0, 4.0, 5.0]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for value in (queries, candidates):
        np.testing.assert_allclose(tape.gradient(losses, value), tape.gradient(expected, value), atol=1e-5)


def test_the_shared_softmax_bears_scores_of_any_size():
    losses = softmax_loss(tf.constant([[1000.0]]), tf.constant([[1.0], [-1.0]]), tf.constant([0]))
    assert losses.numpy().tolist() == [0.0]
