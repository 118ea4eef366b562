from __future__ import annotations

import numpy as np
import pytest

from federated.simulation.groups import (
    LONG_TAIL,
    WORST_SERVED,
    find_long_tail,
    find_worst_served,
    measure_groups,
    measure_lowest,
)
from federated.simulation.replay import UserReplay, find_tail
from recsys.contracts.events import Surface
from recsys.metrics.ranking import MISSED

TOP, SECOND = 1.0, 1 / np.log2(3)


def person(name: str, cloud: list[int], device: list[int], tail_share: float | None = 0.5) -> UserReplay:
    ranks = {"cloud_only": cloud, "cloud_device": device}
    return UserReplay(name, "mid", [Surface.FEED] * len(cloud), ranks, tail_share=tail_share)


def served(places: list[int]) -> list[UserReplay]:
    """People with two events; the cloud has the first one at these places, and the second on top."""
    return [person(f"u{row}", [place, 0], [place, 1]) for row, place in enumerate(places)]


def measure(replays: list[UserReplay]):
    ndcg = {arm: np.zeros(len(replays)) for arm in ("cloud_only", "cloud_device")}
    return measure_groups(replays, ndcg, 0)


def test_the_tail_is_all_but_the_most_popular_fifth_of_what_was_ever_chosen():
    counts = np.asarray([99, 5, 0, 7, 7, 1, 2, 0, 3, 1, 1, 1, 1], np.float32)
    assert np.flatnonzero(~find_tail(counts)).tolist() == [3, 4]


def test_the_worst_served_are_chosen_by_every_second_event():
    places = [0] * 18 + [MISSED, 3]
    assert find_worst_served(served(places)).tolist() == [18, 19]


def test_of_equally_badly_served_people_those_with_the_items_further_down_come_first():
    places = [0] * 7 + [20, MISSED, 40]
    assert find_worst_served(served(places)).tolist() == [8]


def test_the_worst_served_are_judged_by_the_other_events_alone():
    group = measure(served([0] * 9 + [MISSED]))[WORST_SERVED]
    assert group.num_users == 1
    assert group.ndcg["cloud_only"].mean == pytest.approx(TOP)
    assert group.ndcg["cloud_device"].mean == pytest.approx(SECOND)
    assert group.gains["cloud_device"].mean == pytest.approx(SECOND - TOP)
    assert group.harmed == {"cloud_device": 1.0}


def test_whoever_has_one_event_is_in_no_group_that_two_are_needed_for():
    assert WORST_SERVED not in measure([person("u", [0], [0])])


def test_the_long_tail_is_the_fifth_with_most_choices_there():
    shares = [0.1, 0.9, None, 0.3, 0.2, 0.8, 0.7, 0.95, 0.0, 0.4, 0.5]
    assert find_long_tail([person("u", [0], [0], share) for share in shares]).tolist() == [7, 1]


def test_nobody_without_a_known_choice_is_in_the_long_tail():
    assert LONG_TAIL not in measure([person("u", [0, 0], [0, 0], None)])


def test_the_long_tail_is_judged_by_all_its_events():
    replays = [person(f"u{row}", [0], [0], row / 10) for row in range(5)]
    ndcg = {"cloud_only": np.asarray([0.0, 0, 0, 0, 0.5]), "cloud_device": np.asarray([0.0, 0, 0, 0, 0.75])}
    group = measure_groups(replays, ndcg, 0)[LONG_TAIL]
    assert (group.num_users, group.ndcg["cloud_device"].mean, group.gains["cloud_device"].mean) == (1, 0.75, 0.25)
    assert group.harmed == {"cloud_device": 0.0}


def test_the_lowest_tenth_may_be_other_people_in_each_arm():
    ndcg = {"cloud_only": np.r_[0.1, np.ones(9)], "cloud_device": np.r_[np.ones(9), 0.3]}
    assert {arm: interval.mean for arm, interval in measure_lowest(ndcg, 0).items()} == {
        "cloud_only": 0.1,
        "cloud_device": 0.3,
    }
