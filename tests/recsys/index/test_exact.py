from __future__ import annotations

import numpy as np

from recsys.index import exact
from recsys.index.exact import ExactIndex
from tests.suites.index import ExactIndexLaws, scatter


class TestExactIndex(ExactIndexLaws):
    def build(self, vectors):
        return ExactIndex(vectors)


def test_queries_beyond_one_block_are_answered_alike():
    vectors = scatter(2000, 2, seed=1)
    num_queries = exact._BLOCK_SCORES // 2000 + 5
    queries = np.tile(scatter(4, 2, seed=2), (num_queries // 5 + 1, 1))[:num_queries]
    items = ExactIndex(vectors).search(queries, 2)[1]
    assert len(items) == num_queries
    np.testing.assert_array_equal(items, items[np.arange(num_queries) % 5])
