"""Bounds, zeroing and clipping on numbers that can be checked on paper: each update is given, nobody trains."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import tensorflow as tf

from federated.simulation.packed.encodings import Plain
from federated.simulation.packed.robust import Robust, build_treatment
from federated.simulation.packed.training import OwnResult
from recsys.config.federated import AggregationSettings, FederatedSettings

SETTINGS = AggregationSettings(
    kind="robust", first_clip_norm=1.0, first_peak=2.0, zero_factor=2.0, zero_floor=1.0, unclipped_share=0.5
)


class Given:
    """Updates of two weights, `[num_users, 2]`, and how much each counts."""

    def __init__(self, updates, weights):
        self.own = OwnResult([tf.constant(updates)], tf.constant(weights), tf.zeros(len(weights)), tf.constant(weights))

    def train_each(self, weights, first_row, count):
        return self.own


def send(updates, weights, treatment=None):
    treatment = treatment or Robust(SETTINGS, Plain())
    bounds = treatment.start_bounds()
    sums = treatment.upload(Given(updates, weights), [], bounds, None, tf.ones(len(weights), tf.int32))
    mean, moved = treatment.merge(bounds, sums)
    return sums, mean[0].numpy(), moved


def test_a_short_update_stays_a_long_one_is_shortened_and_a_wild_one_counts_as_nothing():
    # 5 is the limit of a number, 2 * 2 + 1, and 1 that of a length. The third lies above the former.
    sums, mean, _ = send([[0.6, 0.0], [0.0, 4.0], [6.0, 0.0]], [1.0, 2.0, 1.0])
    np.testing.assert_allclose(sums["update"][0], [0.6, 2.0])
    np.testing.assert_allclose(mean, [0.15, 0.5])  # by 4: whoever sent zeros counts
    assert [int(sums[name]) for name in ("num_users", "num_clipped", "num_zeroed", "num_above_peak")] == [3, 1, 1, 2]


def test_the_bounds_follow_the_shares_that_lie_below_them():
    # Two of three updates are at most 1 long (the wild one is 0), one of three has no number above 2.
    _, _, moved = send([[0.6, 0.0], [0.0, 4.0], [6.0, 0.0]], [1.0, 2.0, 1.0])
    assert float(moved["clip_norm"]) == pytest.approx(math.exp(-0.2 * (2 / 3 - 0.5)))
    assert float(moved["peak"]) == pytest.approx(2 * 10 ** (0.98 - 1 / 3), rel=1e-5)
    assert int(moved["round_number"]) == 1


def test_where_nobody_came_nothing_moves():
    treatment = Robust(SETTINGS, Plain())
    nothing = OrderedDict((name, tf.constant(0)) for name in ("weight", "num_clipped", "num_users", "num_above_peak"))
    mean, moved = treatment.merge(treatment.start_bounds(), OrderedDict(update=[tf.zeros(2)], **nothing))
    np.testing.assert_array_equal(mean[0], [0, 0])
    assert (float(moved["clip_norm"]), float(moved["peak"])) == (1, 2)


def test_the_mean_of_updates_as_they_are_needs_no_treatment():
    assert build_treatment(FederatedSettings(), 0) is None
