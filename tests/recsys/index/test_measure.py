from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ContractError
from recsys.index.exact import ExactIndex
from recsys.index.measure import recall

ROWS = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [0, 4]], np.float32)
QUERIES = np.array([[1, 0], [0, 1]], np.float32)


def test_an_index_finds_all_of_its_own_answer():
    index = ExactIndex(ROWS)
    assert recall(index, index, QUERIES, 2) == 1.0


def test_recall_is_the_share_of_the_exact_answer_meaned_over_queries():
    # Without item 3, the first query's best two are 2 and 1 instead of 3 and 2; the second's stay 4 and 1.
    crippled = ROWS.copy()
    crippled[3] = -1
    assert recall(ExactIndex(crippled), ExactIndex(ROWS), QUERIES, 2) == pytest.approx((1 / 2 + 2 / 2) / 2)


def test_recall_looks_at_allowed_items_alone():
    crippled = ROWS.copy()
    crippled[3] = -1
    allowed = np.array([False, True, True, False, True])
    assert recall(ExactIndex(crippled), ExactIndex(ROWS), QUERIES, 2, allowed) == 1.0


def test_fewer_items_than_asked_for_are_no_loss():
    index = ExactIndex(ROWS)
    assert recall(index, index, QUERIES, 100) == 1.0


@pytest.mark.parametrize(
    ("queries", "allowed"), [(QUERIES[:0], np.ones(5, np.bool_)), (QUERIES, np.zeros(5, np.bool_))]
)
def test_there_is_no_recall_of_nothing(queries, allowed):
    index = ExactIndex(ROWS)
    with pytest.raises(ContractError, match="queries and allowed items to measure recall on"):
        recall(index, index, queries, 2, allowed)
