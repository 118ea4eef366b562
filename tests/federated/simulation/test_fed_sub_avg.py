"""Heat and its correction, on numbers that can be checked on paper."""

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.algorithms.fed_sub_avg import HeatCorrected, correct, count_heat


def test_the_heat_of_a_row_is_how_many_people_involve_it_however_often():
    involved = [np.int32([[0, 1], [1, 1]]), np.int32([1, 3]), np.int32([])]
    np.testing.assert_array_equal(count_heat(involved, 5), [1, 2, 0, 1, 0])


def test_a_row_of_one_person_in_four_counts_four_times_and_one_of_all_once():
    np.testing.assert_allclose(correct(np.int64([1, 4, 2, 0]), 4), [4, 1, 2, 4])


def step(optimizer, weights, gradients):
    specs = tf.nest.map_structure(lambda weight: tf.TensorSpec(weight.shape, weight.dtype), weights)
    return optimizer.next(optimizer.initialize(specs), weights, gradients)[1]


def test_rows_move_as_far_as_those_who_involve_them_want_and_other_weights_as_before():
    # Four people, each counting alike. Row 0: one wants (4, 0); row 1: all want (2, 2). Means are (1, 0) and (2, 2).
    # The other weight's mean is 3. The rate is 1 / 2.
    optimizer = HeatCorrected(tff.learning.optimizers.build_sgdm(0.5), {1: correct(np.int64([1, 4]), 4)})
    weights = [tf.constant(10.0), tf.constant([[10.0, 10.0], [10.0, 10.0]])]
    gradients = [tf.constant(3.0), tf.constant([[1.0, 0.0], [2.0, 2.0]])]
    other, table = step(optimizer, weights, gradients)
    assert float(other) == 8.5
    np.testing.assert_allclose(table, [[8.0, 10.0], [9.0, 9.0]])


def test_a_table_of_single_numbers_is_corrected_too():
    optimizer = HeatCorrected(tff.learning.optimizers.build_sgdm(1.0), {0: np.float32([4, 1])})
    np.testing.assert_allclose(step(optimizer, [tf.zeros(2)], [tf.constant([1.0, 1.0])])[0], [-4, -1])
