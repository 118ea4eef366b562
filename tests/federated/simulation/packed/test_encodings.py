"""What is sent of an update, on numbers that can be checked on paper."""

import numpy as np
import pytest
import tensorflow as tf

from federated.simulation.packed.encodings import Dithered, Integers, count_upload_bytes
from recsys.config.federated import AggregationSettings, DeviceSettings, FederatedSettings, RoundSettings
from recsys.errors import ConfigError

ONE = tf.constant(1.0)
FIRST = tf.constant(0)


def settings_of(kind, clients=50, **changes):
    return FederatedSettings(
        aggregation=AggregationSettings(kind=kind, **changes),
        device=DeviceSettings(max_examples=64, local_epochs=1),
        rounds=RoundSettings(clients_per_round=clients),
    )


def test_integers_are_whole_steps_of_the_bound_and_are_added_as_often_as_their_weight_says():
    encoding = Integers(bits=4)  # the bound is 7 steps
    update = [tf.constant([[1.0, -1.0, 0.3], [0.07, 0.08, 0.0]])]
    np.testing.assert_array_equal(encoding.encode(update, ONE)[0], [[7, -7, 2], [0, 1, 0]])
    total = encoding.add_up(update, tf.constant([1.0, 3.0]), ONE, FIRST)
    assert total[0].dtype == tf.int32
    np.testing.assert_array_equal(total[0], [7, -4, 2])
    np.testing.assert_allclose(encoding.decode(total, ONE)[0], [1, -4 / 7, 2 / 7], rtol=1e-6)


def test_what_a_rounding_error_puts_above_the_bound_is_the_bound():
    np.testing.assert_array_equal(Integers(bits=4).encode([tf.constant([[1.2]])], ONE)[0], [[7]])


def test_integers_that_might_overflow_are_refused():
    # 64 examples of 1,024 clients take 16 bits, and a number 16: just 32.
    assert Integers.build(settings_of("secure", clients=1024)).bits == 16
    with pytest.raises(ConfigError, match=r"that fit into 32 bits, got 33: 17 of a number, and up"):
        Integers.build(settings_of("secure", clients=1024, secure_bits=17))


def test_a_dithered_number_is_read_within_half_a_step_and_right_on_average():
    # From -1 to 2 in 2 bits: a step is 1. Over many rounds 0.3 comes out as 0.3, though no step lies there.
    part = tf.constant([[-1.0, 2.0, *[0.3] * 30]])
    read = np.concatenate([Dithered(2, seed=3).reread(part, tf.constant(number), 0) for number in range(200)])
    assert np.abs(read[:, 2:] - 0.3).max() <= 0.5 + 1e-6
    assert read[:, 2:].mean() == pytest.approx(0.3, abs=0.02)  # 6,000 draws of deviation 0.29: the error is 0.004
    assert read[:, 2:].std() == pytest.approx(1 / np.sqrt(12), rel=0.05)


def test_the_dither_is_the_same_in_a_repeated_round_and_for_all_people_and_another_in_the_next():
    part = tf.constant([[0.0, 1.0, *[0.3] * 30]] * 2)
    first, again, later = (Dithered(2, 3).reread(part, tf.constant(number), 0).numpy() for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], first[1])
    assert np.abs(later - first).max() > 0.1


def test_numbers_that_are_all_the_same_are_read_as_they_are():
    np.testing.assert_array_equal(Dithered(2, 3).reread(tf.fill([1, 20], 0.7), FIRST, 0), np.full((1, 20), 0.7, "f4"))


def test_weights_of_a_few_numbers_are_sent_as_they_are():
    update = [tf.constant([[0.1, 0.2, 0.7]])]
    np.testing.assert_allclose(Dithered(1, 3).add_up(update, tf.constant([2.0]), ONE, FIRST)[0], [0.2, 0.4, 1.4])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mean", 4 * 103 + 4),
        ("robust", 4 * 103 + 4 + 1),
        ("secure", 4 * 103 + 4 + 1),
        ("compressed", 100 + 8 + 4 * 3 + 4 + 1),  # a hundred numbers in 8 bits and their range, three as they are
    ],
)
def test_the_bytes_of_an_update_can_be_counted(kind, expected):
    assert count_upload_bytes([(10, 10), (3,)], settings_of(kind).aggregation) == expected
