from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ContractError
from recsys.index.rows import RowItems

EVERY = np.array([False, True, True, True])


def make_rows() -> RowItems:
    return RowItems(np.array([1, 2, 3], np.int32))


def test_rows_in_order_need_no_mask_of_their_own():
    rows = make_rows()
    assert rows.is_plain
    assert rows.mask(None) is None
    assert rows.mask(np.array([True, False, True, False])).tolist() == [False, True, False]


def test_a_replaced_item_is_found_in_its_new_row_alone():
    rows = make_rows()
    rows.replace(np.array([2]))
    assert rows.codes.tolist() == [1, 0, 3, 2]
    assert rows.mask(None).tolist() == rows.mask(EVERY).tolist() == [True, False, True, True]
    assert (rows.num_items, rows.num_used, rows.is_plain) == (3, 3, False)


def test_a_removed_item_keeps_its_index_and_comes_back_when_it_is_replaced():
    rows = make_rows()
    rows.remove(np.array([3]))
    rows.remove(np.array([3]))
    assert rows.codes.tolist() == [1, 2, -3]
    assert rows.mask(EVERY).tolist() == [True, True, False]
    assert (rows.num_items, rows.num_used) == (3, 2)
    rows.replace(np.array([3]))
    assert rows.codes.tolist() == [1, 2, 0, 3]


def test_padding_that_is_allowed_allows_no_row():
    rows = make_rows()
    rows.replace(np.array([2]))
    assert rows.mask(np.array([True, False, False, False])).tolist() == [False, False, False, False]


def test_no_rows_hold_no_items():
    rows = RowItems(np.zeros(0, np.int32))
    assert (rows.num_items, rows.num_used, rows.is_plain) == (0, 0, True)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (np.array([0]), "from 1 to 3, got 0 to 0"),
        (np.array([2, 4]), "from 1 to 3, got 2 to 4. New items are added at the end"),
        (np.array([2, 2]), r"each once, got \[2\] int64"),
        (np.array([2.0]), r"whole numbers, each once, got \[1\] float64"),
        (np.array([[2]]), r"each once, got \[1, 1\] int64"),
    ],
)
def test_items_without_a_row_are_refused(items, message):
    with pytest.raises(ContractError, match=message):
        make_rows().check(items)
