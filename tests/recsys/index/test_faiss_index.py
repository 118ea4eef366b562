from __future__ import annotations

import faiss
import numpy as np
import pytest

from recsys.errors import BundleError, ConfigError, ContractError
from recsys.index.exact import ExactIndex, check_vectors
from recsys.index.faiss_index import FaissIndex
from recsys.index.faiss_rows import use_threads
from recsys.index.measure import recall, share_found
from tests.suites.index import RIGHT, ExactIndexLaws, IndexLaws, scatter

REFINED = "IVF16,PQ8x4fsr,RFlat"
HALVED = "IVF16,PQ8x4fsr,Refine(SQfp16)"
FACTORIES = ("Flat", "HNSW16", "IVF16,Flat", REFINED, HALVED)
MERGEABLE = ("Flat", "IVF16,Flat", REFINED, HALVED)


def fill(vectors, factory):
    """Codes need more vectors to learn from than the smallest catalogues have."""
    check_vectors(vectors)
    index = FaissIndex.train(scatter(64, vectors.shape[1], seed=0)[1:], factory)
    index.add(vectors[1:])
    index.pack()
    return index


def change(vectors, factory):
    """The same items, but in other rows: each was another item first, then added, removed or replaced."""
    check_vectors(vectors)
    num_items, dim = len(vectors) - 1, vectors.shape[1]
    index = FaissIndex.train(scatter(64, dim, seed=0)[1:], factory)
    index.add(scatter(num_items, dim, seed=1)[1:])
    index.pack()
    items = np.arange(1, num_items + 1, dtype=np.int32)
    index.remove(items[::2])
    index.replace(items[::-1], vectors[items[::-1]])
    return FaissIndex.from_bytes(index.to_bytes())


class TestFlat(ExactIndexLaws):
    def build(self, vectors):
        return FaissIndex.build(vectors, "Flat")


class TestHNSW(IndexLaws):
    def build(self, vectors):
        return FaissIndex.build(vectors, "HNSW8")


class TestIVF(IndexLaws):
    def build(self, vectors):
        return FaissIndex.build(vectors, "IVF2,Flat")


class TestRefined(IndexLaws):
    def build(self, vectors):
        return fill(vectors, "IVF2,PQ2x4fsr,RFlat")


class TestHalved(IndexLaws):
    def build(self, vectors):
        return fill(vectors, "IVF2,PQ2x4fsr,Refine(SQfp16)")


class TestChangedFlat(ExactIndexLaws):
    def build(self, vectors):
        return change(vectors, "Flat")


class TestChangedHNSW(IndexLaws):
    def build(self, vectors):
        return change(vectors, "HNSW8")


class TestChangedIVF(IndexLaws):
    def build(self, vectors):
        return change(vectors, "IVF2,Flat")


class TestChangedRefined(IndexLaws):
    def build(self, vectors):
        return change(vectors, "IVF2,PQ2x4fsr,RFlat")


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
        ("IDMap2,HNSW8", 'kind "Flat", .* got IndexIDMap2'),
        ("IVF4,PQ4x4fs", 'kind "Flat", .* got IndexIVFPQ'),
        ("IVF2,SQ8,RFlat", 'kind "Flat", .* got IndexIVFScalarQuantizer'),
        (REFINED, "factory that 4 vectors can train, got 'IVF16,PQ8x4fsr,RFlat'"),
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


@pytest.mark.parametrize("share", [0.9, 0.5, 0.21, 0.1, 0.01])
def test_a_filter_fills_every_place_that_it_can(index, queries, share):
    allowed = np.random.default_rng(3).random(2_001) < share
    allowed[0] = False
    num_places = min(100, int(allowed.sum()))
    scores, items = index.search(queries, 100, allowed)
    assert (items[:, :num_places] > 0).all()
    assert allowed[items[items > 0]].all()
    assert (np.diff(scores[:, :num_places], axis=1) <= 0).all()


def test_a_query_whose_cells_hold_too_few_allowed_items_is_searched_exactly():
    # Allowed is all but what lies to the right, where the query looks: its own cells hold next to nothing.
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(4_001, 4)).astype(np.float32)
    vectors[1:2_001, 0] += 50
    index = FaissIndex.build(vectors, "IVF256,PQ4x4fsr,RFlat")
    index.effort = 0.01
    allowed = np.ones(4_001, np.bool_)
    allowed[1:2_001] = False
    query = np.array([[1, 0, 0, 0]], np.float32)
    found, wanted = index.search(query, 500, allowed), ExactIndex(vectors).search(query, 500, allowed)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
    assert len(np.intersect1d(found[1], wanted[1])) >= 499


def test_an_item_that_is_removed_is_never_found(index, vectors, queries):
    changed = FaissIndex.from_bytes(index.to_bytes())
    gone = np.unique(index.search(queries, 5)[1]).astype(np.int32)
    changed.remove(gone)
    assert not np.isin(changed.search(queries, 20)[1], gone).any()
    allowed = np.ones(2_001, np.bool_)
    assert not np.isin(changed.search(queries, 20, allowed)[1], gone).any()
    assert changed.num_items == 2_000
    assert changed.unused_share == pytest.approx(len(gone) / 2_000)


def test_where_all_of_the_nearest_items_are_gone_the_next_are_found(index, vectors, queries):
    # 150 of 2,000, all that a query for 20 would look at: dropping them from its hits leaves no hit.
    query = queries[:1]
    gone = ExactIndex(vectors).search(query, 150)[1][0]
    changed = FaissIndex.from_bytes(index.to_bytes())
    changed.remove(gone)
    allowed = np.ones(2_001, np.bool_)
    allowed[gone] = False
    found, wanted = changed.search(query, 20)[1], ExactIndex(vectors).search(query, 20, allowed)[1]
    assert not np.isin(found, gone).any()
    assert (found > 0).all()
    assert share_found(found, wanted) >= 0.8


def test_items_that_are_added_get_the_next_item_indexes(index):
    changed = FaissIndex.from_bytes(index.to_bytes())
    changed.add(np.full((2, 16), 100, np.float32) * np.array([[1], [2]], np.float32))
    scores, items = changed.search(np.ones((1, 16), np.float32), 2)
    assert items.tolist() == [[2_002, 2_001]]
    assert scores.tolist() == [[3_200, 1_600]]
    assert changed.num_items == 2_002


def test_a_changed_index_finds_as_much_as_one_that_is_built_again(index, vectors, queries):
    rng = np.random.default_rng(6)
    changed, items = FaissIndex.from_bytes(index.to_bytes()), rng.permutation(2_000)[:600].astype(np.int32) + 1
    other = vectors.copy()
    other[items[:400]] = rng.integers(-9, 10, (400, 16))
    changed.replace(items[:400], other[items[:400]])
    changed.remove(items[400:])
    allowed = np.ones(2_001, np.bool_)
    allowed[items[400:]] = False
    wanted = ExactIndex(other).search(queries, 20, allowed)[1]
    assert share_found(changed.search(queries, 20)[1], wanted) >= 0.9
    reopened = FaissIndex.from_bytes(changed.to_bytes())
    np.testing.assert_array_equal(reopened.search(queries, 20), changed.search(queries, 20))
    assert (reopened.num_items, reopened.unused_share) == (2_000, changed.unused_share)


@pytest.mark.parametrize(
    ("items", "vectors", "message"),
    [
        ([5], np.ones((1, 2), np.float32), "`item_indexes` from 1 to 4, got 5 to 5"),
        ([1], np.ones((2, 2), np.float32), "one vector per item, got 2 for 1 items"),
        ([1], np.ones((1, 3), np.float32), r"`vectors` \[num, 2\] float32, got \[1, 3\] float32"),
        ([1], np.ones((1, 2)), r"got \[1, 2\] float64"),
        ([1], np.full((1, 2), np.nan, np.float32), "finite `vectors` to index"),
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(items, vectors, message):
    index = FaissIndex.build(scatter(4, 2, seed=0), "Flat")
    before = index.to_bytes()
    with pytest.raises(ContractError, match=message):
        index.replace(np.array(items, np.int32), vectors)
    assert index.to_bytes() == before


@pytest.mark.parametrize("factory", MERGEABLE)
def test_changes_of_a_shard_survive_its_merging(factory, vectors, queries):
    trained = FaissIndex.train(vectors[1:], factory)
    first, second = (FaissIndex.from_bytes(trained.to_bytes()) for _ in range(2))
    first.add(vectors[1:1_001])
    second.add(vectors[1_001:])
    second.remove(np.array([1_000], np.int32))
    second.replace(np.array([1], np.int32), np.full((1, 16), 99, np.float32))
    first.merge(second)
    assert (first.num_items, second.num_items) == (2_000, 0)
    assert first.search(np.ones((1, 16), np.float32), 1)[1].tolist() == [[1_001]]
    assert not (first.search(queries, 2_000)[1] == 2_000).any()


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        ("HNSW8", "HNSW8", "shards that can be merged, got IndexHNSWFlat"),
        (REFINED, REFINED, "shards that can be merged, got IndexIVFPQFastScan: .* pack it later"),
        ("IVF4,Flat", "IVF8,Flat", "a shard of the same trained index, got another"),
        ("IVF4,Flat", "Flat", "a shard of the same trained index, got another"),
        ("Flat", "IVF4,Flat", "a shard of the same trained index, got another"),
    ],
)
def test_shards_that_do_not_fit_are_not_merged(one, two, message):
    vectors = scatter(64, 8, seed=0)
    with pytest.raises(ConfigError, match=message):
        FaissIndex.build(vectors, one).merge(FaissIndex.build(vectors, two))


@pytest.mark.parametrize("factory", ["HNSW4", "IVF64,Flat", "IVF64,PQ8x4fsr,RFlat"])
def test_more_effort_finds_more(factory, vectors, queries):
    index, exact = FaissIndex.build(vectors, factory), ExactIndex(vectors)
    assert index.effort == 1.0
    found = []
    for effort in (0.5, 16.0):
        index.effort = effort
        found.append(recall(index, exact, queries, 100))
    assert found[0] < found[1] > 0.95
