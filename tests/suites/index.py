"""Laws of `CandidateIndex`.

    class TestMyIndex(IndexLaws):
        def build(self, vectors): return MyIndex(vectors)

An approximate index may miss items, but breaks no other law. One that misses none takes `ExactIndexLaws`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ContractError
from recsys.index.exact import ExactIndex
from tests.suites.shared_laws import shared_law

PLANE = np.array([[0, 0], [1, 0], [0, 1], [2, 0], [-1, 0]], np.float32)
RIGHT = np.array([[1, 0]], np.float32)


def scatter(num_items: int, dim: int, seed: int) -> np.ndarray:
    """Item vectors of small whole numbers, whose inner products are exact in float32; row 0 is zero."""
    vectors = np.random.default_rng(seed).integers(-9, 10, (num_items + 1, dim)).astype(np.float32)
    vectors[0] = 0
    return vectors


@st.composite
def worlds(draw):
    """Item vectors, queries and an allow-list of random density."""
    num_items, seed = draw(st.integers(2, 60)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    allowed = rng.random(num_items + 1) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    queries = rng.integers(-3, 4, (draw(st.integers(1, 4)), 4)).astype(np.float32)
    return scatter(num_items, 4, seed), queries, allowed, draw(st.integers(1, 70))


class IndexLaws:
    def build(self, vectors):
        raise NotImplementedError

    def test_the_largest_inner_product_comes_first(self):
        scores, items = self.build(PLANE).search(RIGHT, 3)
        assert items.tolist() == [[3, 1, 2]]
        assert scores.tolist() == [[2, 1, 0]]

    def test_results_have_the_dtypes_of_the_contract(self):
        scores, items = self.build(PLANE).search(RIGHT, 3)
        assert (scores.dtype, items.dtype) == (np.float32, np.int32)

    def test_places_without_an_item_hold_index_0_and_minus_infinity(self):
        scores, items = self.build(PLANE).search(RIGHT, 6)
        assert items.tolist() == [[3, 1, 2, 4, 0, 0]]
        assert scores.tolist() == [[2, 1, 0, -1, -np.inf, -np.inf]]

    def test_padding_is_never_found_although_it_would_score_best(self):
        vectors = -np.ones((4, 2), np.float32)
        vectors[0] = 0
        assert self.build(vectors).search(RIGHT, 1)[1].tolist() == [[1]]

    def test_ties_rise_by_item_index(self):
        vectors = np.zeros((7, 2), np.float32)
        vectors[1:] = [1, 0]
        vectors[4] = [2, 0]
        assert self.build(vectors).search(RIGHT, 6)[1].tolist() == [[4, 1, 2, 3, 5, 6]]

    @pytest.mark.parametrize(
        ("rows", "found"),
        [([1, 4], [1, 4, 0]), ([2], [2, 0, 0]), ([], [0, 0, 0]), ([1, 2, 3, 4], [3, 1, 2]), ([0, 2], [2, 0, 0])],
    )
    def test_only_allowed_items_are_found(self, rows, found):
        allowed = np.zeros(5, np.bool_)
        allowed[rows] = True
        assert self.build(PLANE).search(RIGHT, 3, allowed)[1].tolist() == [found]

    @shared_law
    @given(worlds())
    def test_every_hit_is_allowed_distinct_and_carries_its_inner_product(self, world):
        vectors, queries, allowed, count = world
        scores, items = self.build(vectors).search(queries, count, allowed)
        assert scores.shape == items.shape == (len(queries), count)
        for query, row_scores, row_items in zip(queries, scores, items, strict=True):
            hits = row_items[row_items > 0]
            assert allowed[hits].all()
            assert len(set(hits.tolist())) == len(hits)
            assert row_scores[: len(hits)].tolist() == (vectors[hits] @ query).tolist()
            assert row_items[len(hits) :].tolist() == [0] * (count - len(hits))
            assert (row_scores[len(hits) :] == -np.inf).all()

    @shared_law
    @given(worlds())
    def test_hits_fall_by_score_and_ties_rise_by_item_index(self, world):
        vectors, queries, allowed, count = world
        for scores, items in zip(*self.build(vectors).search(queries, count, allowed), strict=True):
            hits = items > 0
            keys = list(zip(-scores[hits], items[hits], strict=True))
            assert keys == sorted(keys)

    @pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
    def test_queries_of_a_batch_are_answered_as_each_alone(self, share):
        index = self.build(scatter(400, 8, seed=1))
        allowed = np.random.default_rng(2).random(401) < share
        queries = scatter(29, 8, seed=3)
        alone = [index.search(query[None], 10, allowed)[1][0].tolist() for query in queries]
        assert index.search(queries, 10, allowed)[1].tolist() == alone

    def test_no_query_is_answered_by_no_rows(self):
        scores, items = self.build(PLANE).search(np.zeros((0, 2), np.float32), 3)
        assert scores.shape == items.shape == (0, 3)

    def test_a_search_changes_none_of_its_arguments(self):
        queries, allowed = scatter(4, 2, seed=5), np.array([False, True, False, True, True])
        before = queries.copy(), allowed.copy()
        self.build(PLANE).search(queries, 3, allowed)
        assert (queries == before[0]).all()
        assert (allowed == before[1]).all()

    def test_many_threads_may_search_at_once(self):
        index = self.build(scatter(300, 8, seed=7))
        queries = scatter(39, 8, seed=8)
        masks = np.random.default_rng(9).random((40, 301)) < 0.5

        def ask(row: int) -> list[int]:
            return index.search(queries[row][None], 10, masks[row])[1][0].tolist()

        alone = [ask(row) for row in range(40)]
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(ask, range(40))) == alone

    def test_it_knows_its_size(self):
        index = self.build(PLANE)
        assert (index.num_items, index.dim) == (4, 2)

    @pytest.mark.parametrize(
        ("queries", "count", "allowed", "message"),
        [
            (np.ones((1, 3), np.float32), 1, None, r"`queries` \[num_queries, 2\] float32, got \[1, 3\] float32"),
            (np.ones(2, np.float32), 1, None, r"`queries` .* got \[2\] float32"),
            (np.ones((1, 2)), 1, None, r"`queries` .* got \[1, 2\] float64"),
            (RIGHT * np.nan, 1, None, "finite `queries`, got NaN"),
            (RIGHT, 0, None, "`count` from 1 up, got 0"),
            (RIGHT, 1, np.ones(4, np.bool_), r"`allowed` \[5\] bool, got \[4\] bool"),
            (RIGHT, 1, np.ones(5, np.int8), r"`allowed` \[5\] bool, got \[5\] int8"),
        ],
    )
    def test_arguments_that_do_not_fit_are_refused(self, queries, count, allowed, message):
        with pytest.raises(ContractError, match=message):
            self.build(PLANE).search(queries, count, allowed)

    @pytest.mark.parametrize(
        ("vectors", "message"),
        [
            (np.zeros((1, 2), np.float32), r"at least one item, got \[1, 2\] float32"),
            (np.zeros((3, 2)), r"got \[3, 2\] float64"),
            (np.zeros(3, np.float32), r"got \[3\] float32"),
            (np.full((3, 2), np.inf, np.float32), "finite `vectors` to index"),
        ],
    )
    def test_vectors_that_are_none_are_refused(self, vectors, message):
        with pytest.raises(ContractError, match=message):
            self.build(vectors)


class ExactIndexLaws(IndexLaws):
    def test_ties_at_the_cut_go_to_the_lowest_item_indexes(self):
        vectors = np.zeros((501, 2), np.float32)
        vectors[1:] = [1, 0]
        assert self.build(vectors).search(RIGHT, 3)[1].tolist() == [[1, 2, 3]]
        assert self.build(vectors).search(np.zeros((1, 2), np.float32), 3)[1].tolist() == [[1, 2, 3]]

    def test_ties_at_the_cut_go_to_the_lowest_item_indexes_although_better_items_come_later(self):
        vectors = np.ones((351, 2), np.float32)
        vectors[0] = 0
        vectors[301:] = 2
        found = self.build(vectors).search(RIGHT, 60)[1][0].tolist()
        assert found == [*range(301, 351), *range(1, 11)]

    @shared_law
    @given(worlds())
    def test_it_finds_what_the_oracle_finds(self, world):
        vectors, queries, allowed, count = world
        for found, wanted in zip(
            self.build(vectors).search(queries, count, allowed),
            ExactIndex(vectors).search(queries, count, allowed),
            strict=True,
        ):
            np.testing.assert_array_equal(found, wanted)
