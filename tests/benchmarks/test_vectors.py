from __future__ import annotations

import numpy as np
import pytest

from benchmarks.vectors import WORLDS, draw_clustered, draw_random


def split_variance(num_items: int, dim: int) -> tuple[float, float]:
    """The whole variance of 250 items a cluster, and its participation ratio."""
    rows = draw_clustered(num_items, 1, dim, seed=1)[0][1:]
    eigenvalues = np.linalg.eigvalsh(np.cov(rows.T))
    return float(eigenvalues.sum()), float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_drawn_by_its_seed_with_padding_in_row_0(name):
    vectors, queries = WORLDS[name](300, 5, 8, 3)
    assert (vectors.shape, vectors.dtype, queries.shape, queries.dtype) == ((301, 8), np.float32, (5, 8), np.float32)
    assert not vectors[0].any()
    again, other = WORLDS[name](300, 5, 8, 3)[0], WORLDS[name](300, 5, 8, 4)[0]
    assert (again == vectors).all()
    assert not (other[1:] == vectors[1:]).any()


def test_clustered_vectors_have_the_variance_and_the_directions_of_a_tower():
    variance, num_directions = split_variance(50_000, 64)
    assert variance == pytest.approx(1.0, abs=0.1)
    assert num_directions == pytest.approx(28, abs=3)


def test_half_the_variance_of_one_cluster_lies_within():
    # 250 items are one cluster: what is left is the share within.
    assert split_variance(250, 64)[0] == pytest.approx(0.5, abs=0.05)


def test_random_vectors_have_no_direction_of_their_own():
    rows = draw_random(50_000, 1, 8, seed=1)[0][1:]
    np.testing.assert_allclose(np.cov(rows.T), np.eye(8), atol=0.03)
