import numpy as np
import pytest

from federated.device.gate import TYPICAL_DEVIATION, Order, choose_order, lower_bound
from recsys.metrics.ranking import MISSED


def choose(cloud, general, personal, margin=1.0, fallback=Order.CLOUD):
    ranks = {Order.CLOUD: cloud, Order.GLOBAL: general, Order.PERSONAL: personal}
    return choose_order({order: np.asarray(places, np.int32) for order, places in ranks.items()}, margin, fallback)


def test_an_order_that_is_always_better_is_shown():
    assert choose([9] * 8, [0] * 8, [9] * 8) is Order.GLOBAL
    assert choose([9] * 8, [9] * 8, [0] * 8) is Order.PERSONAL


def test_of_two_better_orders_the_better_one_is_shown():
    assert choose([9] * 8, [3] * 8, [1] * 8) is Order.PERSONAL
    assert choose([9] * 8, [1] * 8, [3] * 8) is Order.GLOBAL


def test_where_no_order_is_better_the_clouds_stays():
    assert choose([2] * 8, [2] * 8, [2] * 8) is Order.CLOUD
    assert choose([0] * 8, [3] * 8, [9] * 8) is Order.CLOUD


def test_of_two_equal_towers_the_global_one_is_shown():
    assert choose([9] * 8, [0] * 8, [0] * 8) is Order.GLOBAL


@pytest.mark.parametrize("count", [0, 1])
def test_a_person_of_whom_too_little_is_known_sees_the_clouds_order(count):
    assert choose([99] * count, [0] * count, [0] * count, margin=0.0) is Order.CLOUD


def test_where_the_global_tower_is_the_usual_one_another_order_must_beat_that():
    usual = Order.GLOBAL
    assert choose([9] * 8, [5] * 8, [5] * 8, fallback=usual) is Order.GLOBAL
    assert choose([9] * 8, [5] * 8, [0] * 8, fallback=usual) is Order.PERSONAL
    assert choose([0] * 8, [5] * 8, [9] * 8, fallback=usual) is Order.CLOUD
    assert choose([0], [99], [0], margin=0.0, fallback=usual) is Order.GLOBAL


def test_a_gain_within_the_noise_is_not_enough():
    # Differences in gain of +1 and -0.63 in turn: mean .18, standard error .27 and more.
    cloud, general = [0, 2] * 4, [2, 0] * 4
    assert choose(cloud[1:], general[1:], cloud[1:], margin=0.0) is Order.GLOBAL
    assert choose(cloud[1:], general[1:], cloud[1:], margin=1.0) is Order.CLOUD


def test_a_list_that_lacked_the_choice_counts_as_no_gain():
    # Without the missed lists the mean gain would be the same and its error smaller.
    missed = [MISSED] * 30
    assert choose([2, 2, *missed], [1, 1, *missed], [2, 2, *missed], margin=3.0) is Order.CLOUD
    assert choose([2] * 32, [1] * 32, [2] * 32, margin=3.0) is Order.GLOBAL


def test_a_move_deep_in_the_list_tells_too():
    assert choose([60] * 8, [20] * 8, [60] * 8, margin=0.5) is Order.GLOBAL


def test_the_bound_is_the_mean_less_so_many_standard_errors():
    # Mean 0.2, squares about it 0.02; with one imagined choice the error is sqrt(0.02 + 0.01) / 2.
    values = np.asarray([0.1, 0.3])
    assert pytest.approx(0.1) == TYPICAL_DEVIATION
    assert lower_bound(values, 0.0) == pytest.approx(0.2)
    assert lower_bound(values, 2.0) == pytest.approx(0.2 - np.sqrt(0.03))


def test_two_choices_that_agree_by_chance_are_no_proof():
    assert lower_bound(np.asarray([0.04, 0.04]), 1.0) < 0
    assert lower_bound(np.full(20, 0.04), 1.0) > 0


def test_orders_are_compared_by_the_latest_choices_that_both_have():
    # The global tower passes by its eight choices, of which the own tower's two are the last.
    cloud, general = [9] * 8, [5] * 8
    assert choose(cloud, general, [9, 9]) is Order.GLOBAL
    assert choose(cloud, general, [0, 0]) is Order.PERSONAL
    assert choose([9] * 6 + [0, 0], [9] * 6 + [0, 0], [9, 9]) is Order.CLOUD


def test_the_global_tower_is_judged_by_more_choices_than_the_own_one():
    assert choose([9, 9], [7, 7], [9, 9]) is Order.CLOUD
    assert choose([9] * 30, [7] * 30, [9, 9]) is Order.GLOBAL
