"""One step of the mechanism, on numbers that can be checked on paper."""

import math

import numpy as np
import pytest
import tensorflow as tf

from federated.simulation.packed.private import Mechanism

SILENT = Mechanism(
    noise_multiplier=0.0, mean_cohort=8.0, first_clip_norm=0.5, unclipped_share=0.5, clip_learning_rate=0.2, seed=3
)
LOUD = Mechanism(
    noise_multiplier=2.0, mean_cohort=100.0, first_clip_norm=0.5, unclipped_share=0.5, clip_learning_rate=0.0, seed=3
)


def step(mechanism, update, num_sent=0.0, num_clipped=0.0, clip_norm=0.5, round_number=0):
    given = (tf.constant(value) for value in (num_sent, num_clipped))
    mean, bound = mechanism.privatise(tf.constant(clip_norm), tf.constant(round_number), update, *given)
    return [part.numpy() for part in mean], float(bound)


def test_without_noise_it_is_the_sum_by_the_cohort_that_was_expected():
    (one, other), _ = step(SILENT, [tf.constant([4.0, -8.0]), tf.constant(2.0)], num_sent=6.0)
    np.testing.assert_allclose(one, [0.5, -1.0])
    assert other == pytest.approx(0.25)


def test_the_bound_grows_where_too_many_were_clipped_and_shrinks_where_too_few():
    # Of 8 expected 6 came, 5 of them too long: (6 / 2 - 5) / 8 + 1 / 2 = 1 / 4 were short enough, 1 / 4 too few.
    assert step(SILENT, [tf.constant(0.0)], 6.0, 5.0)[1] == pytest.approx(0.5 * math.exp(0.2 * 0.25))
    # (8 / 2 - 0) / 8 + 1 / 2 = 1 were short enough.
    assert step(SILENT, [tf.constant(0.0)], 8.0, 0.0)[1] == pytest.approx(0.5 * math.exp(-0.2 * 0.5))


def test_both_releases_together_are_one_with_the_noise_that_was_wanted():
    assert LOUD.count_deviation == 5.0
    assert LOUD.update_noise_multiplier**-2 + (2 * LOUD.count_deviation) ** -2 == pytest.approx(2.0**-2)


def test_in_a_small_cohort_the_count_gets_more_noise_and_the_updates_no_boundless_one():
    small = Mechanism(2.0, 10.0, 0.5, 0.5, 0.2, 3)
    assert small.count_deviation == 2.0
    assert small.update_noise_multiplier == pytest.approx(2.0 * math.sqrt(4 / 3))


def test_the_noise_has_the_deviation_that_it_should_and_is_new_in_each_round():
    nothing = [tf.zeros([40_000])]
    (first,), _ = step(LOUD, nothing)
    (later,), _ = step(LOUD, nothing, round_number=1)
    expected = LOUD.update_noise_multiplier * 0.5 / 100.0
    assert first.std() == pytest.approx(expected, rel=0.02)  # the standard error is 0.35 %
    assert abs(first.mean()) < 4 * expected / 200
    assert abs(np.corrcoef(first, later)[0, 1]) < 0.025


def test_a_seed_gives_its_noise_again_and_another_one_another():
    nothing = [tf.zeros([100])]
    (first,), _ = step(LOUD, nothing)
    np.testing.assert_array_equal(step(LOUD, nothing)[0][0], first)
    other = Mechanism(2.0, 100.0, 0.5, 0.5, 0.0, seed=4)
    assert np.abs(step(other, nothing)[0][0] - first).max() > 1e-3
