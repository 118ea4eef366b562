from __future__ import annotations

import pytest

from benchmarks.baselines.profiles import count_profiles, recency_profiles
from tests.benchmarks.tasks import make_log


def test_a_count_profile_holds_one_for_each_item_however_often_chosen() -> None:
    assert count_profiles(make_log([2, 0, 2], [], num_items=3)).toarray().tolist() == [[1, 0, 1], [0, 0, 0]]


def test_a_recency_profile_halves_from_the_end_down_to_its_floor() -> None:
    profile = recency_profiles(make_log([0, 1, 2], num_items=3), floor=0.2, half_life=1.0).toarray()[0]
    # 0.2 + 0.8 / 4, 0.2 + 0.8 / 2, 0.2 + 0.8
    assert profile.tolist() == pytest.approx([0.4, 0.6, 1.0])


def test_the_weights_of_an_item_that_was_chosen_again_add_up() -> None:
    profile = recency_profiles(make_log([1, 1], num_items=2), floor=0.0, half_life=1.0).toarray()[0]
    assert profile.tolist() == [0.0, 1.5]
