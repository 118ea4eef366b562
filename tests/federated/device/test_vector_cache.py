import numpy as np
import pytest

from federated.device.vector_cache import VectorCache
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.errors import VersionMismatchError
from recsys.exchange.delta import diff


def snapshot(**values):
    return EmbeddingSnapshot(tuple(sorted(values)), np.asarray([values[key] for key in sorted(values)], np.float32))


OLD = snapshot(a=[1, 1], b=[2, 2])
NEW = snapshot(a=[1, 1], b=[5, 5], c=[3, 3])


def test_vectors_come_in_the_order_of_the_ids_and_unknown_ones_are_left_out():
    cache = VectorCache(OLD)
    assert cache.has(["b", "x", "a"]).tolist() == [True, False, True]
    assert cache.vectors(["b", "x", "a"]).tolist() == [[2, 2], [1, 1]]


def test_a_row_of_the_table_is_the_vector_of_its_id_and_row_0_is_nobodys():
    cache = VectorCache(OLD)
    assert cache.indexes(["b", "x", "a"]).tolist() == [2, 0, 1]
    assert cache.table().tolist() == [[0, 0], [1, 1], [2, 2]]


def test_no_ids_give_no_vectors_of_the_right_length():
    assert VectorCache(OLD).vectors([]).shape == (0, 2)
    assert VectorCache(OLD).has([]).shape == (0,)


def test_a_delta_moves_the_cache_to_its_version():
    cache = VectorCache(OLD)
    cache.apply(diff(OLD, NEW))
    assert cache.version == NEW.version
    assert cache.vectors(["c", "b"]).tolist() == [[3, 3], [5, 5]]


def test_a_delta_from_another_version_changes_nothing():
    cache = VectorCache(OLD)
    with pytest.raises(VersionMismatchError, match="Ask for the snapshot"):
        cache.apply(diff(NEW, OLD))
    assert (cache.version, cache.dim) == (OLD.version, 2)
    assert cache.vectors(["b"]).tolist() == [[2, 2]]


def test_a_snapshot_replaces_all():
    cache = VectorCache(OLD)
    cache.replace(NEW)
    assert cache.version == NEW.version
    assert cache.has(["c"]).all()
