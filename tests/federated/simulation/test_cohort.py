import random

import pytest

from federated.simulation.cohort import sample_cohort

USERS = [f"user-{number:03d}" for number in range(200)]


def test_a_cohort_does_not_depend_on_the_order_in_which_users_come():
    shuffled = random.Random(0).sample(USERS, len(USERS))
    assert sample_cohort(shuffled, 20, seed=1, round_number=3) == sample_cohort(USERS, 20, seed=1, round_number=3)


def test_a_cohort_holds_distinct_users_sorted():
    cohort = sample_cohort(USERS, 20, seed=1, round_number=3)
    assert cohort == sorted(set(cohort))
    assert len(cohort) == 20


@pytest.mark.parametrize(("seed", "round_number"), [(1, 4), (2, 3)])
def test_another_round_or_seed_draws_another_cohort(seed, round_number):
    assert sample_cohort(USERS, 20, seed, round_number) != sample_cohort(USERS, 20, 1, 3)


def test_everybody_takes_part_where_fewer_are_there_than_wanted():
    assert sample_cohort(["b", "a", "b"], 20, seed=0, round_number=1) == ["a", "b"]


def test_all_users_are_drawn_about_equally_often():
    # 400 cohorts of 20 out of 200: 40 each on average, standard deviation 6; 5 deviations are never met by chance.
    counts = dict.fromkeys(USERS, 0)
    for round_number in range(1, 401):
        for user_id in sample_cohort(USERS, 20, 0, round_number):
            counts[user_id] += 1
    assert min(counts.values()) > 10
    assert max(counts.values()) < 70
