from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.statistics import pairs
from pipelines.statistics.histories import Histories, keep_distinct
from pipelines.statistics.pairs import UNIT, PairCounts
from tests.pipelines.statistics.test_histories import histories

PEOPLE = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=9), min_size=1, max_size=6)


def cells(counts: PairCounts, width: int) -> dict[tuple[int, int], int]:
    assert (np.diff(counts.keys) > 0).all()
    return {divmod(key, width): count for key, count in zip(counts.keys.tolist(), counts.counts.tolist(), strict=True)}


def test_a_follower_counts_by_its_lag_within_the_window_and_not_across_users() -> None:
    counted = pairs.count_transitions(histories([1, 2, 3, 4], [4, 1]), width=5, window=2, decay=0.5)
    whole, half = UNIT, UNIT // 2
    assert cells(counted, 5) == {
        (1, 2): whole,
        (1, 3): half,
        (2, 3): whole,
        (2, 4): half,
        (3, 4): whole,
        (4, 1): whole,
    }


def test_repeated_transitions_add_up_and_an_item_can_follow_itself() -> None:
    counted = pairs.count_transitions(histories([1, 2, 1, 2]), width=3, window=2, decay=0.5)
    assert cells(counted, 3) == {(1, 2): 2 * UNIT, (2, 1): UNIT, (1, 1): UNIT // 2, (2, 2): UNIT // 2}


def test_users_of_both_items_are_counted_and_of_one_on_the_diagonal() -> None:
    counted = pairs.count_co_occurrences(histories([1, 2], [1, 2, 3], [2]), width=4)
    assert cells(counted, 4) == {
        (1, 1): 2,
        (1, 2): 2,
        (2, 1): 2,
        (2, 2): 3,
        (1, 3): 1,
        (3, 1): 1,
        (2, 3): 1,
        (3, 2): 1,
        (3, 3): 1,
    }


@pytest.mark.parametrize(("max_cells", "max_pairs"), [(0, 1), (0, 12), (0, 10**6), (10**6, 1)])
@settings(max_examples=30)
@given(people=PEOPLE)
def test_neither_groups_nor_matrices_change_the_counts(max_cells: int, max_pairs: int, people: list[list[int]]) -> None:
    expected: dict[tuple[int, int], int] = {}
    for items in map(set, people):
        for pair in ((source, target) for source in items for target in items):
            expected[pair] = expected.get(pair, 0) + 1
    distinct = keep_distinct(histories(*people), 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_MAX_CELLS", max_cells)
        patch.setattr(pairs, "_MAX_PAIRS", max_pairs)
        patch.setattr(pairs, "_MULTIPLIED_USERS", 2)
        assert cells(pairs.count_co_occurrences(distinct, 7), 7) == expected


@settings(max_examples=50)
@given(people=PEOPLE, window=st.integers(1, 10), far=st.booleans())
def test_transitions_equal_a_count_by_hand_on_small_and_on_large_catalogues(
    people: list[list[int]], window: int, far: bool
) -> None:
    width = 10**6 if far else 7
    expected: dict[tuple[int, int], Fraction] = {}
    for items in people:
        for place, source in enumerate(items):
            for lag, target in enumerate(items[place + 1 : place + 1 + window]):
                expected[source, target] = expected.get((source, target), Fraction(0)) + Fraction(1, 2**lag)
    counted = pairs.count_transitions(histories(*people), width, window, 0.5)
    assert cells(counted, width) == {pair: count * UNIT for pair, count in expected.items()}


def test_items_are_counted_by_choice_and_by_user() -> None:
    some = histories([1, 2, 1], [1])
    assert pairs.count_items(some, keep_distinct(some, 9), 4).tolist() == [[0, 3, 1, 0], [0, 2, 1, 0]]


@pytest.mark.parametrize("spread", [1, 10**9])
def test_counts_of_equal_pairs_add_up_in_any_order(spread: int) -> None:
    one = PairCounts(np.array([2, 5]) * spread, np.array([1, 10]))
    two = PairCounts(np.array([5, 7]) * spread, np.array([100, 1000]))
    none = PairCounts(np.zeros(0, np.int64), np.zeros(0, np.int64))
    for order in ([one, two, none], [none, two, one]):
        summed = pairs.merge(order)
        assert (summed.keys // spread).tolist() == [2, 5, 7]
        assert summed.counts.tolist() == [1, 110, 1000]
    assert len(pairs.merge([none, none])) == 0


def test_blocks_hold_whole_sources() -> None:
    keys = np.array([1 * 10 + 3, 1 * 10 + 9, 2 * 10 + 1, 7 * 10 + 2])
    blocks = list(pairs.split_by_source(PairCounts(keys, np.arange(1, 5)), width=10, block_items=2))
    assert [(block, part.keys.tolist(), part.counts.tolist()) for block, part in blocks] == [
        (0, [13, 19], [1, 2]),
        (1, [21], [3]),
        (3, [72], [4]),
    ]


def test_nobody_has_no_pairs() -> None:
    nobody = Histories(np.zeros(1, np.int64), np.zeros(0, np.int32))
    assert len(pairs.count_transitions(nobody, 3, 5, 0.8)) == 0
    assert len(pairs.count_co_occurrences(nobody, 3)) == 0
