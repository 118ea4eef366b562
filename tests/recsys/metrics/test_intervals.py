from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ContractError
from recsys.metrics.intervals import bootstrap_lowest, bootstrap_mean, compare


def test_equal_users_have_an_interval_without_width():
    interval = bootstrap_mean(np.full(50, 0.25), seed=0)
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)


def test_the_interval_is_about_two_standard_errors_to_each_side():
    values = np.tile([0.0, 1.0], 200)  # mean 0.5, standard error 0.5 / sqrt(400) = 0.025
    interval = bootstrap_mean(values, seed=0)
    assert interval.mean == 0.5
    assert interval.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert interval.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_users_without_a_value_are_left_out():
    assert bootstrap_mean(np.asarray([np.nan, 2.0, 2.0]), seed=0).mean == 2.0


def test_no_user_at_all_is_refused():
    with pytest.raises(ContractError, match="at least one user, got none"):
        bootstrap_mean(np.asarray([np.nan]), seed=0)


def test_the_lowest_tenth_is_the_mean_of_those_below_all_others():
    values = np.concatenate([np.full(90, 1.0), np.full(6, -1.0), np.full(4, -2.0)])
    interval = bootstrap_lowest(values, 0.1, seed=0)
    assert interval.mean == pytest.approx((6 * -1.0 + 4 * -2.0) / 10)
    assert interval.low < interval.mean < interval.high
    assert interval.high < 1.0


def test_of_few_users_the_lowest_is_at_least_one():
    assert bootstrap_lowest(np.asarray([3.0, np.nan, 1.0, 2.0]), 0.1, seed=0).mean == 1.0


def test_differences_are_paired_per_user():
    base = np.arange(100.0)
    arms = {"new": {"ndcg": base + 1.0}, "old": {"ndcg": base}}
    _, differences = compare(arms, [("new", "old")], seed=0)
    gain = differences["new-old"]["ndcg"]
    assert (gain.low, gain.mean, gain.high) == (1.0, 1.0, 1.0)  # unpaired it would be wide
    assert gain.excludes_zero
