"""Losses over lists of candidates."""

from __future__ import annotations

import tensorflow as tf

_ABSENT = -1e9


def listwise_loss(labels: tf.Tensor, scores: tf.Tensor, candidate_mask: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the softmax cross-entropy of each list, `[batch]` float32 (ListNet's top-one loss).

    Learning to Rank: From Pairwise Approach to Listwise Approach, Cao et al., ICML 2007.

    Args:
      labels: `[batch, num_candidates]` float32, 1 at the chosen candidate; a row of zeros costs nothing.
      scores: `[batch, num_candidates]` float32.
      candidate_mask: `[batch, num_candidates]` float32, 0 where a list is shorter than the axis; None where none is.
    """
    if candidate_mask is not None:
        scores += (1.0 - candidate_mask) * _ABSENT
    return -tf.reduce_sum(labels * tf.nn.log_softmax(scores), axis=1)
