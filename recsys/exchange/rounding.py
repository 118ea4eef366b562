"""Vectors that survive half precision unharmed."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Float32Array


def round_to_float16(vectors: Float32Array) -> Float32Array:
    """Returns the nearest values that float16 can hold, as float32; beyond its range (65504) the largest one.

    The cloud rounds once, when it embeds; from then on the half-size codec loses nothing and all sides hold equal bits.

    Args:
      vectors: Any shape, float32.
    """
    limit = np.finfo(np.float16).max
    rounded = np.clip(vectors, -limit, limit).astype(np.float16).astype(np.float32)
    return rounded + np.float32(0.0)  # -0.0 becomes 0.0: equal values shall have equal bits.
