"""The one thing that leaves a device with a request: its query vector, clipped and with noise."""

from __future__ import annotations

import math

import numpy as np

from recsys.contracts.arrays import Float32Array
from recsys.errors import ContractError


def privatise(query: Float32Array, clip_norm: float, noise_multiplier: float, rng: np.random.Generator) -> Float32Array:
    """Returns the query vector scaled to at most `clip_norm` with Gaussian noise added, `[dim]` float32.

    The Gaussian mechanism (Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014, appendix A):
    any two clipped vectors differ by at most 2 · clip_norm, so one release with standard deviation
    sigma = noise_multiplier · clip_norm is (epsilon, delta)-private in the local sense, with
    epsilon = 2 · sqrt(2 · ln(1.25 / delta)) / noise_multiplier, and only where that is below 1. Every further release
    adds to it: a device that asks a hundred times spends a hundred times (less with advanced composition), and nobody
    counts here. Noise that leaves a ranking useful is far above epsilon 1; it blurs a vector, it does not hide it.
    A multiplier of 0 clips only and promises nothing. Floating-point noise is not the real Gaussian (Mironov, "On
    significance of the least significant bits for differential privacy", CCS 2012).

    Args:
      query: `[dim]` float32, finite.
      clip_norm: Largest Euclidean length, above 0.
      noise_multiplier: Noise per clip norm, from 0.
      rng: The device's own source of randomness, which nobody else may know.

    Raises:
      ContractError: If the vector is no finite vector or a setting is out of range.
    """
    if query.ndim != 1 or not np.isfinite(query).all():
        raise ContractError(f"Expected a finite query vector [dim], got {list(query.shape)} {query.flat[:3]}.")
    if not (0 < clip_norm < math.inf and 0 <= noise_multiplier < math.inf):
        raise ContractError(
            f"Expected `clip_norm` above 0 and `noise_multiplier` from 0, got {clip_norm} and {noise_multiplier}."
        )
    wide = query.astype(np.float64)
    clipped = wide * (clip_norm / max(clip_norm, float(np.linalg.norm(wide))))
    return (clipped + rng.normal(0.0, noise_multiplier * clip_norm, query.shape)).astype(np.float32)
