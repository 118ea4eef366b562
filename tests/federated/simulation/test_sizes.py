"""Budgets of tiers, in numbers that can be checked on paper."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from federated.simulation.sizes import choose_size, count_bytes, count_products, plan_sizes
from recsys.config.federated import (
    AggregationSettings,
    DeviceSettings,
    FederatedSettings,
    PopulationSettings,
    PrivacySettings,
    RoundSettings,
    TierSettings,
)
from recsys.errors import ConfigError

DIM = 4
DEVICE = DeviceSettings(history_length=3, hidden_units=(8,))
# 13 inputs: 14 u weights of the hidden layer, u of the correction, 2 of the prior, 1 sharpness and 3 of the recency.
BYTES = {size: 4 * (15 * units + 6) for size, units in ((0.25, 2), (0.5, 4), (1.0, 8))}
# 13 u products in the hidden layer, u in the correction, 2 in the prior, 2 * 3 * 4 in the attention.
PRODUCTS = {size: 14 * units + 26 for size, units in ((0.25, 2), (0.5, 4), (1.0, 8))}


def settings(tiers: TierSettings, **others) -> FederatedSettings:
    population = PopulationSettings(example_ms={"low": 40.0, "high": 4.0})
    return FederatedSettings(device=DEVICE, tiers=tiers, population=population, **others)


def test_a_tower_costs_what_its_weights_and_products_come_to():
    plan = settings(TierSettings())
    for size in (0.25, 0.5, 1.0):
        assert count_bytes(DIM, plan, size) == BYTES[size]
        assert count_products(DIM, plan, size) == PRODUCTS[size]


@pytest.mark.parametrize(("budget", "place"), [(BYTES[0.25], 0), (BYTES[0.5] - 1, 0), (BYTES[0.5], 1), (1e6, 2)])
def test_a_tier_has_the_largest_tower_whose_weights_its_memory_holds(budget, place):
    assert choose_size("low", DIM, settings(TierSettings(weight_bytes={"low": budget}))) == place


def test_a_tier_has_the_largest_tower_that_it_trains_in_time():
    half_ms = 40.0 * PRODUCTS[0.5] / PRODUCTS[1.0]
    assert choose_size("low", DIM, settings(TierSettings(example_ms={"low": half_ms + 0.01}))) == 1
    assert choose_size("low", DIM, settings(TierSettings(example_ms={"low": half_ms - 0.01}))) == 0
    assert choose_size("high", DIM, settings(TierSettings(example_ms={"high": 4.0}))) == 2


def test_both_budgets_count():
    tiers = TierSettings(weight_bytes={"low": BYTES[0.25]}, example_ms={"low": 40.0})
    assert choose_size("low", DIM, settings(tiers)) == 0


def test_a_tier_without_a_budget_has_the_tightest_of_the_others():
    tiers = TierSettings(weight_bytes={"low": BYTES[0.25], "high": 1e6})
    sizes = plan_sizes("abc", {"a": "low", "b": "high"}, DIM, settings(tiers))
    assert sizes.of_user == {"a": 0, "b": 2, "c": 0}
    assert [mask.shape[0] for mask in sizes.masks] == [3] * 6


def test_without_budgets_there_are_no_sizes():
    assert plan_sizes("ab", {"a": "low"}, DIM, settings(TierSettings())) is None


def test_a_budget_that_holds_no_tower_is_refused_with_what_the_smallest_needs():
    with pytest.raises(ConfigError, match=f"'low' that hold the smallest tower, size 0.25 with {BYTES[0.25]} bytes"):
        choose_size("low", DIM, settings(TierSettings(weight_bytes={"low": BYTES[0.25] - 1.0})))


@pytest.mark.parametrize(
    "others",
    [
        {"aggregation": AggregationSettings(kind="robust")},
        {"privacy": PrivacySettings(epsilon=8.0)},
        {"rounds": RoundSettings(algorithm="fed_recon")},
    ],
)
def test_sizes_go_with_no_other_way_to_the_mean(others):
    with pytest.raises(ConfigError, match="averaged over those who have it alone"):
        plan_sizes("a", {"a": "low"}, DIM, settings(TierSettings(weight_bytes={"low": 1e6}), **others))


@pytest.mark.parametrize("sizes", [(0.5, 0.25), (0.0, 1.0), (0.5, 0.5), (0.5, 1.5)])
def test_sizes_out_of_order_or_range_are_refused(sizes):
    with pytest.raises(ValidationError, match="shares above 0 and at most 1, the smallest first"):
        TierSettings(sizes=sizes)
