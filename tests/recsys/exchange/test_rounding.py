from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.exchange.rounding import round_to_float16


def test_the_nearest_half_precision_value_is_taken():
    # Half precision has 10 fraction bits: between 1 and 2 its values lie 1/1024 apart.
    rounded = round_to_float16(np.array([1 + 0.4 / 1024, 1 + 0.6 / 1024, 0.5], np.float32))
    assert rounded.tolist() == [1, 1 + 1 / 1024, 0.5]
    assert rounded.dtype == np.float32


def test_what_is_out_of_range_becomes_the_largest_value():
    assert round_to_float16(np.array([1e6, -1e6], np.float32)).tolist() == [65504, -65504]


def test_minus_zero_becomes_zero():
    assert not np.signbit(round_to_float16(np.array([-0.0, -1e-9], np.float32))).any()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_rounded_values_are_held_exactly_and_stay_as_they_are(values):
    rounded = round_to_float16(np.array(values, np.float32))
    assert (rounded.astype(np.float16).astype(np.float32) == rounded).all()
    assert (round_to_float16(rounded) == rounded).all()
