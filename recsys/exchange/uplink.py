"""The one thing that leaves a device with a request: its query vector, clipped and with noise."""

from __future__ import annotations

import numpy as np

from recsys.contracts.arrays import Float32Array
from recsys.errors import ContractError


def privatise(query: Float32Array, clip_norm: float, noise_multiplier: float, rng: np.random.Generator) -> Float32Array:
    """Returns the query vector scaled to at most `clip_norm` with Gaussian noise added.

    The Gaussian mechanism (Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014, appendix A):
    any two clipped vectors differ by at most 2 · clip_norm, so one release with standard deviation
    sigma = noise_multiplier · clip_norm is (epsilon, delta)-private in the local sense with
    epsilon = 2 · sqrt(2 · ln(1.25 / delta)) / noise_multiplier where that is below 1. Every further release adds to it;
    a multiplier of 0 clips only and promises nothing.

    Args:
      query: `[dim]` float32.
      clip_norm: Largest Euclidean length, above 0.
      noise_multiplier: Noise per clip norm, from 0.
      rng: The device's own source of randomness.

    Raises:
      ContractError: If the vector is not finite or a setting is out of range.
    """
    if not np.isfinite(query).all():
        raise ContractError("Expected a finite query vector, got NaN or infinity.")
    if clip_norm <= 0 or noise_multiplier < 0:
        raise ContractError(
            f"Expected `clip_norm` above 0 and `noise_multiplier` from 0, got {clip_norm} and {noise_multiplier}."
        )
    norm = float(np.linalg.norm(query))
    clipped = query * min(1.0, clip_norm / norm) if norm > 0 else query
    noise = rng.normal(0.0, noise_multiplier * clip_norm, query.shape) if noise_multiplier else 0.0
    return (clipped + noise).astype(np.float32)
