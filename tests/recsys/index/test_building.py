from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ContractError
from recsys.index.building import MAX_EFFORT, build_in_shards, draw_sample, tune_effort
from recsys.index.exact import ExactIndex
from recsys.index.faiss_index import FaissIndex
from recsys.index.measure import recall
from tests.suites.index import ExactIndexLaws, IndexLaws, scatter

MERGEABLE = ("Flat", "IVF16,Flat", "IVF16,PQ8x4fsr,RFlat", "IVF16,PQ8x4fsr,Refine(SQfp16)")


class TestMergedFlat(ExactIndexLaws):
    def build(self, vectors):
        return build_in_shards(vectors, "Flat", sample_items=10, shard_items=7, num_threads=3)


class TestMergedIVF(IndexLaws):
    def build(self, vectors):
        return build_in_shards(vectors, "IVF2,Flat", sample_items=100, shard_items=7, num_threads=3)


@pytest.fixture(scope="module")
def vectors():
    return scatter(2_000, 16, seed=11)


@pytest.fixture(scope="module")
def queries():
    return scatter(50, 16, seed=12)[1:]


@pytest.mark.parametrize("factory", MERGEABLE)
def test_merged_shards_answer_as_an_index_that_was_filled_in_one_piece(factory, vectors, queries):
    whole = FaissIndex.build(vectors, factory)
    merged = build_in_shards(vectors, factory, sample_items=2_000, shard_items=300, num_threads=2)
    assert (merged.num_items, merged.unused_share) == (2_000, 0.0)
    np.testing.assert_array_equal(merged.search(queries, 20), whole.search(queries, 20))


@pytest.mark.parametrize("factory", MERGEABLE)
def test_the_number_of_threads_leaves_no_trace(factory, vectors):
    built = {build_in_shards(vectors, factory, 1_000, 300, num_threads).to_bytes() for num_threads in (1, 2, 8)}
    assert len(built) == 1


def test_a_graph_is_filled_in_one_piece(vectors):
    built = build_in_shards(vectors, "HNSW16", sample_items=100, shard_items=300, num_threads=2)
    assert built.to_bytes() == FaissIndex.build(vectors, "HNSW16").to_bytes()


def test_vectors_that_are_none_are_refused():
    with pytest.raises(ContractError, match="at least one item"):
        build_in_shards(np.zeros((1, 4), np.float32), "Flat", 10, 10, 1)


def test_a_sample_is_drawn_without_repetition_and_by_its_seed():
    sample = draw_sample(1_000, 100, seed=3)
    assert len(set(sample.tolist())) == 100
    assert (np.diff(sample) > 0).all()
    assert draw_sample(1_000, 100, seed=3).tolist() == sample.tolist() != draw_sample(1_000, 100, seed=4).tolist()
    assert draw_sample(5, 100, seed=3).tolist() == [0, 1, 2, 3, 4]


def test_effort_is_raised_until_enough_is_found(vectors, queries):
    index, exact = FaissIndex.build(vectors, "IVF64,PQ8x4fsr,RFlat"), ExactIndex(vectors)
    found = tune_effort(index, lambda: recall(index, exact, queries, 20), 0.9)
    assert found == recall(index, exact, queries, 20) >= 0.9
    chosen = index.effort
    index.effort = chosen / 2
    assert recall(index, exact, queries, 20) < 0.9
    index.effort = chosen
    assert FaissIndex.from_bytes(index.to_bytes()).effort == chosen


def test_effort_ends_where_more_of_it_is_useless(vectors):
    index = FaissIndex.build(vectors, "Flat")
    asked = []
    assert tune_effort(index, lambda: asked.append(1) or 0.5, 0.9) == 0.5
    assert len(asked) == 9  # 1/4, 1/2, … 64
    assert MAX_EFFORT == 2.0**6


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (0.25, [0.25]),
        (1.1, [0.25, 0.5, 1, 2, 2**0.5, 2**0.25]),
        (1.3, [0.25, 0.5, 1, 2, 2**0.5, 2**0.25]),
        (1.5, [0.25, 0.5, 1, 2, 2**0.5, 2**0.75]),
        (1.9, [0.25, 0.5, 1, 2, 2**0.5, 2**0.75]),
    ],
)
def test_the_last_doubling_is_taken_back_as_far_as_enough_is_found(wanted, asked, vectors):
    index, tried = FaissIndex.build(vectors, "HNSW4"), []

    def measure():
        tried.append(index.effort)
        return index.effort  # As if an index found as much as it takes effort.

    found = tune_effort(index, measure, wanted)
    assert tried == pytest.approx(asked, rel=0.01)
    assert found == index.effort == min(effort for effort in tried if effort >= wanted)
