import random

import pytest

from federated.simulation.cohort import draw_each, hold_out, sample_cohort

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


def test_who_is_held_out_depends_on_ids_alone_and_the_many_hold_the_few():
    held_out = hold_out(random.Random(0).sample(USERS, len(USERS)), 20)
    assert held_out == hold_out(USERS, 20) == sorted(set(held_out))
    assert len(held_out) == 20
    assert set(held_out) < set(hold_out(USERS, 30))


def test_who_was_held_out_stays_so_when_people_join_unless_one_of_them_takes_the_place():
    grown = hold_out([*USERS, *(f"late-{number}" for number in range(200))], 20)
    assert {user for user in grown if user in USERS} <= set(hold_out(USERS, 20))


def test_half_of_all_take_part_at_least():
    assert len(hold_out(USERS, 1_000)) == 100
    assert len(hold_out(["a", "b", "c"], 3)) == 1


def test_everybody_is_drawn_by_themselves_about_as_often_as_the_rate_says():
    # 400 rounds at 0.1: 40 each on average, standard deviation 6; cohorts of 20, standard deviation 4.2.
    counts, sizes = dict.fromkeys(USERS, 0), []
    for round_number in range(1, 401):
        cohort = draw_each(USERS, 0.1, 0, round_number)
        sizes.append(len(cohort))
        for user_id in cohort:
            counts[user_id] += 1
    assert min(counts.values()) > 10
    assert max(counts.values()) < 70
    assert len(set(sizes)) > 5
    assert 19 < sum(sizes) / 400 < 21


def test_such_a_cohort_depends_on_users_seed_and_round_alone():
    shuffled = random.Random(0).sample(USERS, len(USERS))
    assert draw_each(shuffled, 0.1, 1, 3) == draw_each(USERS, 0.1, 1, 3) == sorted(draw_each(USERS, 0.1, 1, 3))
    assert draw_each(USERS, 0.1, 1, 4) != draw_each(USERS, 0.1, 1, 3) != draw_each(USERS, 0.1, 2, 3)
    assert draw_each(USERS, 1.0, 1, 3) == USERS
