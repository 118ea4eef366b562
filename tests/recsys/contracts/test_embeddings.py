from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from recsys.contracts.embeddings import EmbeddingDelta, EmbeddingSnapshot
from recsys.errors import ContractError
from tests.recsys.contracts.strategies import snapshots

VECTORS = np.ones((2, 3), np.float32)


@given(snapshots(), snapshots())
def test_versions_are_equal_exactly_where_contents_are(left, right):
    assert (left.version == right.version) == (left == right)


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (("b", "a"), VECTORS, "sorted, distinct `item_ids`, got 'b' before 'a'"),
        (("a", "a"), VECTORS, "sorted, distinct `item_ids`, got 'a' before 'a'"),
        (("a",), VECTORS, r"`vectors` \[1, dim\] float32, got \[2, 3\] float32"),
        (("a", "b"), VECTORS.astype(np.float64), "got .* float64"),
        (("a", "b"), VECTORS * np.nan, "finite `vectors`"),
    ],
)
def test_an_unlawful_snapshot_is_refused(ids, vectors, message):
    with pytest.raises(ContractError, match=message):
        EmbeddingSnapshot(ids, vectors)


def test_a_delta_cannot_set_and_remove_the_same_item():
    with pytest.raises(ContractError, match=r"set or removed, got both for \['a'\]"):
        EmbeddingDelta("v1", "v2", ("a", "b"), VECTORS, ("a",))
