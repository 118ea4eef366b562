from __future__ import annotations

import faiss
import numpy as np
import pytest

from recsys.errors import BundleError, ConfigError
from recsys.index.exact import ExactIndex
from recsys.index.faiss_index import FaissIndex, use_threads
from recsys.index.measure import recall
from tests.suites.index import RIGHT, ExactIndexLaws, IndexLaws, scatter

FACTORIES = ("Flat", "HNSW16", "IVF16,Flat")


class TestFlat(ExactIndexLaws):
    def build(self, vectors):
        return FaissIndex.build(vectors, "Flat")


class TestHNSW(IndexLaws):
    def build(self, vectors):
        return FaissIndex.build(vectors, "HNSW8")


class TestIVF(IndexLaws):
    def build(self, vectors):
        return FaissIndex.build(vectors, "IVF2,Flat")


class TestReopenedFlat(ExactIndexLaws):
    def build(self, vectors):
        return FaissIndex.from_bytes(FaissIndex.build(vectors, "Flat").to_bytes())


@pytest.fixture(scope="module")
def vectors():
    return scatter(2_000, 16, seed=11)


@pytest.fixture(scope="module")
def queries():
    return scatter(50, 16, seed=12)[1:]


@pytest.fixture(scope="module", params=FACTORIES)
def index(request, vectors):
    return FaissIndex.build(vectors, request.param)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.25])
def test_nine_of_ten_best_items_are_found_at_least(index, vectors, queries, share):
    allowed = np.random.default_rng(1).random(2_001) < share
    assert recall(index, ExactIndex(vectors), queries, 20, allowed) >= 0.9


@pytest.mark.parametrize("num_allowed", [1, 30, 400])
def test_a_narrow_allow_list_is_searched_exactly_by_every_kind_of_index(index, vectors, queries, num_allowed):
    allowed = np.zeros(2_001, np.bool_)
    allowed[np.random.default_rng(2).choice(2_000, num_allowed, replace=False) + 1] = True
    found, wanted = index.search(queries, 20, allowed), ExactIndex(vectors).search(queries, 20, allowed)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


def test_an_index_comes_back_from_its_file_as_it_was(index, queries, tmp_path):
    index.save(tmp_path / "index.faiss")
    reopened = FaissIndex.load(tmp_path / "index.faiss")
    np.testing.assert_array_equal(reopened.search(queries, 20), index.search(queries, 20))
    assert reopened.to_bytes() == index.to_bytes() == (tmp_path / "index.faiss").read_bytes()


@pytest.fixture
def restored_threads():
    """FAISS's threads are the process's: whoever changes their number in a test puts it back."""
    before = faiss.omp_get_max_threads()
    yield
    use_threads(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("factory", FACTORIES)
def test_equal_vectors_give_an_equal_index_however_many_threads_build_it(factory, vectors):
    built = set()
    for num_threads in (1, 8, 8):
        use_threads(num_threads)
        built.add(FaissIndex.build(vectors.copy(), factory).to_bytes())
    assert len(built) == 1


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("num_threads", [1, 3])
def test_faiss_uses_as_many_threads_as_it_is_told(num_threads):
    use_threads(num_threads)
    assert faiss.omp_get_max_threads() == num_threads


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Nonsense", "factory that 4 vectors can train, got 'Nonsense'"),
        ("IVF64,Flat", "factory that 4 vectors can train, got 'IVF64,Flat'"),
        ("SQ8", 'kind "Flat", .* got IndexScalarQuantizer'),
        ("IDMap2,HNSW8", "factory that 4 vectors can train, got 'IDMap2,HNSW8'"),
    ],
)
def test_a_factory_that_cannot_serve_is_refused(factory, message):
    with pytest.raises(ConfigError, match=message):
        FaissIndex.build(scatter(4, 8, seed=0), factory)


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage"])
def test_a_file_that_is_no_index_is_refused(damage, tmp_path):
    content = FaissIndex.build(scatter(4, 2, seed=0), "Flat").to_bytes()
    content = {"empty": b"", "cut": content[:-3], "garbage": b"not an index at all"}[damage]
    path = tmp_path / "index.faiss"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"FAISS index in .*index\.faiss, got a file that is none"):
        FaissIndex.load(path)
    with pytest.raises(BundleError, match=f"FAISS index, got {len(content)} bytes that are none"):
        FaissIndex.from_bytes(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"FAISS index in .*absent\.faiss"):
        FaissIndex.load(tmp_path / "absent.faiss")


def test_an_index_outlives_the_vectors_it_was_built_from():
    vectors = scatter(50, 2, seed=4)
    index = FaissIndex.build(vectors, "Flat")
    before = index.search(RIGHT, 50)
    vectors[:] = 0
    np.testing.assert_array_equal(index.search(RIGHT, 50), before)
