from __future__ import annotations

import numpy as np
import pytest

from federated.device.contribution import (
    Contribution,
    count_items,
    count_together,
    count_transitions,
    keep_items,
    lag_levels,
    num_pairs,
    pair_cells,
)
from recsys.config.federated import StrictSettings
from recsys.errors import ContractError

SETTINGS = StrictSettings(max_history=4, window=3, decay=0.5, levels=4)


def items(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_a_pair_counts_less_the_further_it_is_apart():
    # 4 at lag 1, 2 at lag 2, 1 at lag 3.
    table = count_transitions(items(0, 1, 2, 3), 4, SETTINGS).expand().reshape(4, 4)
    assert table.tolist() == [[0, 4, 2, 1], [0, 0, 4, 2], [0, 0, 0, 4], [0, 0, 0, 0]]


def test_lags_that_round_to_nothing_are_left_out():
    # 3, 1.5, 0.75, 0.375: rounded to even where it is a half.
    assert lag_levels(StrictSettings(window=10, decay=0.5, levels=3)).tolist() == [3, 2, 1]


def test_no_cell_exceeds_the_bound_however_often_the_pair_came():
    # (0, 1) comes twice at lag 1 and once at lag 3: 9, cut to 4; (0, 0) and (1, 1) at lag 2, (1, 0) at lag 1.
    assert count_transitions(items(0, 1, 0, 1), 2, SETTINGS).expand().tolist() == [2, 4, 4, 2]


def test_only_the_latest_choices_count():
    long, short = items(3, 3, 3, 0, 1, 2, 3), items(0, 1, 2, 3)
    for count in (count_items, count_transitions, count_together):
        np.testing.assert_array_equal(count(long, 4, SETTINGS).expand(), count(short, 4, SETTINGS).expand())


@pytest.mark.parametrize("seed", range(5))
def test_one_device_adds_no_more_than_its_bounds(seed):
    history = np.random.default_rng(seed).integers(0, 3, 50).astype(np.int32)
    counted = count_transitions(history, 3, SETTINGS)
    assert counted.values.max() <= SETTINGS.levels
    assert counted.values.sum() <= SETTINGS.max_history * lag_levels(SETTINGS).sum()


def test_items_count_once_however_often_they_were_chosen():
    assert count_items(items(2, 0, 2), 4, SETTINGS).expand().tolist() == [1, 0, 1, 0]


def test_items_that_were_both_chosen_count_as_a_pair_once():
    # Pairs of 4 items: 00, 01, 02, 03, 11, 12, 13, 22, 23, 33.
    assert count_together(items(3, 0, 3, 2), 4, SETTINGS).expand().tolist() == [1, 0, 1, 1, 0, 0, 0, 1, 1, 1]


def test_a_choice_that_does_not_count_keeps_its_place():
    # 0 and 1 stand at lag 2, 1 and 2 at lag 1, 0 and 2 at lag 3.
    table = count_transitions(items(0, -1, 1, 2), 3, SETTINGS).expand().reshape(3, 3)
    assert table.tolist() == [[0, 2, 1], [0, 0, 4], [0, 0, 0]]
    assert count_together(items(0, -1, 2), 3, SETTINGS).expand().tolist() == [1, 0, 1, 0, 0, 1]


def test_items_are_numbered_among_those_that_are_kept():
    assert keep_items(items(9, 2, 5, 0, 7), items(7, 2)).tolist() == [-1, 1, -1, -1, 0]
    assert keep_items(items(), items(2, 7)).tolist() == []


def test_pairs_are_numbered_without_gaps():
    first, second = (side.astype(np.int64) for side in np.triu_indices(7))
    assert pair_cells(first, second, 7).tolist() == list(range(num_pairs(7)))


def test_a_device_with_too_little_history_adds_nothing_to_what_takes_more():
    assert not count_transitions(items(1), 3, SETTINGS).expand().any()
    for count in (count_items, count_transitions, count_together):
        assert not count(items(), 3, SETTINGS).expand().any()


@pytest.mark.parametrize("count", [count_transitions, count_together])
@pytest.mark.parametrize("item", [-2, 3])
def test_an_item_outside_the_catalogue_is_refused(count, item):
    with pytest.raises(ContractError, match=r"Expected items from 0 to 2, or -1, got"):
        count(items(1, item), 3, SETTINGS)


def test_a_single_item_outside_the_catalogue_is_refused():
    with pytest.raises(ContractError, match=r"Expected distinct ascending cells below 3 with values from 1 to 1"):
        count_items(items(3), 3, SETTINGS)


@pytest.mark.parametrize(
    ("cells", "values"),
    [([1, 1], [1, 1]), ([2, 1], [1, 1]), ([1], [0]), ([1], [6]), ([-1], [1]), ([9], [1]), ([1], [])],
)
def test_a_vector_that_breaks_the_law_is_refused(cells, values):
    with pytest.raises(ContractError, match=r"Expected distinct ascending cells below 9 with values from 1 to 5"):
        Contribution(items(*cells), items(*values), 9, 5)


def test_a_catalogue_that_is_too_large_for_a_table_is_refused():
    with pytest.raises(ContractError, match=r"at most 2,147,483,647 cells, got 2,500,000,000: too many items"):
        count_transitions(items(1, 2), 50_000, SETTINGS)
