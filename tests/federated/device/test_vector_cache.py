from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from federated.device.vector_cache import VectorCache
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.errors import VersionMismatchError
from recsys.exchange.delta import diff
from tests.recsys.contracts.strategies import snapshots


@given(snapshots(), snapshots())
def test_a_delta_brings_the_cache_to_the_version_it_names(old, new):
    cache = VectorCache(old)
    cache.apply(diff(old, new))
    assert cache.version == new.version
    assert np.array_equal(cache.vectors(new.item_ids), new.vectors)


def test_a_delta_from_another_version_changes_nothing():
    old = EmbeddingSnapshot(("a",), np.ones((1, 2), np.float32))
    other = EmbeddingSnapshot(("b",), np.ones((1, 2), np.float32))
    cache = VectorCache(old)
    with pytest.raises(VersionMismatchError, match=f"a delta from version {old.version}, got one from"):
        cache.apply(diff(other, old))
    assert cache.version == old.version


def test_what_is_not_here_is_said_and_left_out():
    cache = VectorCache(EmbeddingSnapshot(("a", "b"), np.asarray([[1, 1], [2, 2]], np.float32)))
    assert cache.has(["b", "z"]).tolist() == [True, False]
    assert cache.vectors(["b", "z", "a"]).tolist() == [[2, 2], [1, 1]]
    assert cache.vectors([]).shape == (0, 2)
