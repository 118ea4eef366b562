import math

import pytest

from federated.simulation.privacy import Guarantee, find_noise, measure_epsilon, plan_rounds
from recsys.config.federated import AggregationSettings, FederatedSettings, PrivacySettings, RoundSettings
from recsys.errors import ConfigError, FederationError

SETTINGS = FederatedSettings(
    rounds=RoundSettings(num_rounds=20, clients_per_round=50), privacy=PrivacySettings(epsilon=8.0)
)


def test_epsilon_of_one_full_round_is_below_the_classical_bound():
    # sqrt(2 ln(1.25 / delta)) / noise (Dwork and Roth 2014, theorem A.1), which holds for epsilon below 1.
    classical = math.sqrt(2 * math.log(1.25 / 1e-5)) / 10
    assert classical / 2 < measure_epsilon(10.0, 1.0, 1, 1e-5) < classical


def test_epsilon_of_the_well_known_example_is_about_what_is_published():
    # TensorFlow Privacy's tutorial: 60 epochs of batches of 256 out of 60,000 with noise 1.1, delta 1e-5: epsilon 3.
    assert 2.3 < measure_epsilon(1.1, 256 / 60_000, 60 * 60_000 // 256, 1e-5) < 3.02


def test_no_round_spends_nothing_and_each_one_more():
    spent = [measure_epsilon(1.0, 0.01, rounds, 1e-5) for rounds in (0, 1, 10, 100)]
    assert spent[0] == 0
    assert spent == sorted(set(spent))


def test_the_noise_is_the_least_that_keeps_the_bound():
    noise = find_noise(4.0, 1e-5, 0.01, 50)
    assert measure_epsilon(noise, 0.01, 50, 1e-5) <= 4.0 < measure_epsilon(noise * 0.998, 0.01, 50, 1e-5)


def test_a_bound_that_no_noise_can_keep_is_refused():
    with pytest.raises(ConfigError, match=r"`privacy.epsilon`: expected a bound that noise can keep over 20 rounds"):
        find_noise(1e-9, 1e-12, 1.0, 20)


def test_without_an_epsilon_nothing_is_promised():
    assert plan_rounds(FederatedSettings(), 1_000, {}) is None


def test_the_plan_keeps_to_the_bound_over_all_rounds_and_not_over_more():
    plan = plan_rounds(SETTINGS, 1_000, {})
    assert (plan.sampling_rate, plan.num_people, plan.num_rounds, plan.mean_cohort) == (0.05, 1_000, 20, 50.0)
    assert plan.epsilon_after(0) == 0
    assert 7.9 < plan.epsilon_after(20) <= 8.0
    plan.check(20)
    with pytest.raises(
        FederationError, match=r"Expected rounds within epsilon 8, got 8\.\d+ after round 21; .* 20 rou"
    ):
        plan.check(21)


def test_what_the_tower_has_spent_is_not_spent_again():
    plan = plan_rounds(SETTINGS, 1_000, {"device_epsilon": 5.0, "device_delta": 1e-5})
    assert plan.epsilon_after(0) == 5.0
    assert 7.9 < plan.epsilon_after(20) <= 8.0
    assert plan.delta == pytest.approx(2e-5)
    assert plan.noise_multiplier > plan_rounds(SETTINGS, 1_000, {}).noise_multiplier


def test_a_tower_that_has_spent_it_all_is_refused():
    with pytest.raises(
        FederationError, match=r"spent less than epsilon 8, got 8\. Allow more by `--epsilon`, or begin"
    ):
        plan_rounds(SETTINGS, 1_000, {"device_epsilon": 8.0})


def test_where_fewer_are_there_than_wanted_everybody_takes_part():
    assert plan_rounds(SETTINGS, 10, {}).sampling_rate == 1.0


def test_a_guarantee_without_rounds_has_spent_what_was_spent_before():
    assert Guarantee(8.0, 1e-5, 1.0, 0.1, 100, 5, 2.5, 1e-5).epsilon_after(0) == 2.5


def test_noise_and_another_way_to_the_mean_exclude_each_other():
    both = FederatedSettings(privacy=PrivacySettings(epsilon=8.0), aggregation=AggregationSettings(kind="secure"))
    with pytest.raises(ConfigError, match=r'expected "mean" in rounds with `privacy.epsilon`'):
        plan_rounds(both, 1_000, {})
