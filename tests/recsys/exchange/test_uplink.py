from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ContractError
from recsys.exchange import uplink
from recsys.exchange.uplink import privatise

QUERY = np.array([3, 4], np.float32)
VECTORS = st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=8).map(
    lambda v: np.array(v, np.float32)
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_long_vector_is_scaled_to_the_clip_norm():
    np.testing.assert_allclose(privatise(QUERY, 1.0, 0.0, rng()), [0.6, 0.8], rtol=1e-6)


def test_a_short_vector_stays_as_it_is():
    assert privatise(QUERY, 5.0, 0.0, rng()).tolist() == [3, 4]


def test_a_zero_vector_stays_zero():
    assert privatise(np.zeros(3, np.float32), 1.0, 0.0, rng()).tolist() == [0, 0, 0]


@given(VECTORS, st.floats(1e-3, 1e3))
def test_nothing_longer_than_the_clip_norm_leaves(query, clip_norm):
    assert np.linalg.norm(privatise(query, clip_norm, 0.0, rng()).astype(np.float64)) <= clip_norm * (1 + 1e-5)


@given(VECTORS)
def test_the_direction_is_kept(query):
    sent = privatise(query, 1.0, 0.0, rng()).astype(np.float64)
    wide = query.astype(np.float64)
    assert sent @ wide == pytest.approx(np.linalg.norm(sent) * np.linalg.norm(wide), rel=1e-4, abs=1e-30)


def test_the_noise_is_gaussian_with_the_stated_deviation():
    # Deviation = noise_multiplier · clip_norm = 1.5; 40,000 draws estimate it within 1 % (three standard errors).
    noise = privatise(np.zeros(40_000, np.float32), 3.0, 0.5, rng(1))
    assert noise.std() == pytest.approx(1.5, rel=0.011)
    assert abs(noise.mean()) < 3 * 1.5 / math.sqrt(40_000)
    assert (np.abs(noise) < 1.5).mean() == pytest.approx(0.6827, abs=0.007)


def test_the_noise_is_added_to_the_clipped_vector():
    noise = privatise(np.zeros(2, np.float32), 1.0, 0.7, rng(5))
    np.testing.assert_allclose(privatise(QUERY, 1.0, 0.7, rng(5)), noise + np.array([0.6, 0.8]), rtol=1e-5)


def test_equal_seeds_give_equal_noise_and_the_next_release_another():
    source = rng(3)
    first, second = (privatise(QUERY, 1.0, 1.0, source) for _ in range(2))
    assert (first == privatise(QUERY, 1.0, 1.0, rng(3))).all()
    assert (first != second).all()


def test_the_query_itself_is_not_changed():
    query = QUERY.copy()
    privatise(query, 1.0, 1.0, rng())
    assert (query == QUERY).all()
    assert privatise(query, 1.0, 1.0, rng()).dtype == np.float32


@pytest.mark.parametrize(
    ("query", "clip_norm", "noise_multiplier", "message"),
    [
        (QUERY * np.nan, 1.0, 0.0, r"finite query vector \[dim\], got \[2\]"),
        (QUERY[None], 1.0, 0.0, r"finite query vector \[dim\], got \[1, 2\]"),
        (QUERY, 0.0, 0.0, "`clip_norm` above 0 .* got 0.0 and 0.0"),
        (QUERY, math.nan, 0.0, "`clip_norm` above 0"),
        (QUERY, math.inf, 0.0, "`clip_norm` above 0"),
        (QUERY, 1.0, -0.1, "`noise_multiplier` from 0, got 1.0 and -0.1"),
        (QUERY, 1.0, math.nan, "`noise_multiplier` from 0"),
    ],
)
def test_what_cannot_be_made_private_is_refused(query, clip_norm, noise_multiplier, message):
    with pytest.raises(ContractError, match=message):
        privatise(query, clip_norm, noise_multiplier, rng())


def test_the_uplink_offers_this_one_function():
    tree = ast.parse(Path(uplink.__file__).read_text(encoding="utf-8"))
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)] == ["privatise"]
