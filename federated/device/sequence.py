"""The sequence tower on a device: what its private history asks for, of every item, in numpy.

One block of causal self-attention (Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018), read at
the last choice alone. Deviations: heads look at whole vectors, and begin with how far back they look (the biases by
distance of Press, Smith and Lewis, "Train Short, Test Long", ICLR 2022, here trained), so that the untrained tower is a
profile with recency; lengths are divided out without means or gains (Zhang and Sennrich, NeurIPS 2019); one table has
the items that were chosen and those that are scored.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from recsys.contracts.arrays import Float32Array, Int32Array

TINY: Final = 1e-6

NUM_TABLES: Final = 2
"""Weights that have a row an item: the first of `SequenceWeights`."""


class SequenceWeights(NamedTuple):
    """All weights, float32; the first `NUM_TABLES` have a row an item, the rest are the dense part.

    Attributes:
      rows: `[num_items, dim]`.
      biases: `[num_items]`, added to scores.
      queries: `[heads, dim, head_dim]`, what the last choice looks for.
      keys: `[heads, dim, head_dim]`, what a choice is found by.
      values: `[heads, dim, dim]`, what is taken from it.
      recency: `[heads, history_length]`, of a choice so many places back.
      hidden: `[dim, units]`.
      hidden_biases: `[units]`.
      output: `[units, dim]`.
      sharpness: `[]`, the logarithm of what scores are multiplied with.
    """

    rows: Float32Array
    biases: Float32Array
    queries: Float32Array
    keys: Float32Array
    values: Float32Array
    recency: Float32Array
    hidden: Float32Array
    hidden_biases: Float32Array
    output: Float32Array
    sharpness: Float32Array

    @property
    def dense_size(self) -> int:
        """How many numbers the dense part has."""
        return sum(int(np.size(part)) for part in self[NUM_TABLES:])

    @property
    def size_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(part.nbytes for part in self)


def score_all(weights: SequenceWeights, history: Int32Array) -> Float32Array:
    """Returns the score of every item to come next, `[num_items]` float32.

    Args:
      weights: Of the tower.
      history: `[num]` int32 items from 0, oldest first, at least one; the last of them count.
    """
    vectors = weights.rows[history[-weights.recency.shape[1] :]]
    unit = _even(vectors)
    looked_for = unit[-1] @ weights.queries
    found = np.einsum("ld,hdk,hk->hl", unit, weights.keys, looked_for, optimize=True)
    age = weights.recency[:, : len(vectors)][:, ::-1]
    logits = found / np.sqrt(weights.keys.shape[2]) + age
    attention = np.exp(logits - logits.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    attended = _even(np.einsum("hd,hde->e", attention @ vectors, weights.values))
    query = attended + np.maximum(attended @ weights.hidden + weights.hidden_biases, 0.0) @ weights.output
    scores: Float32Array = (weights.rows @ query * np.exp(weights.sharpness) + weights.biases).astype(np.float32)
    return scores


def _even(vectors: Float32Array) -> Float32Array:
    """Vectors whose squares are 1 on average."""
    even: Float32Array = vectors / np.sqrt(np.mean(vectors**2, axis=-1, keepdims=True) + TINY)
    return even
