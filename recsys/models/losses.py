"""Losses over candidates: a list of its own for each request, or one set that all share."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from recsys.contracts.arrays import Float32Array

_ABSENT = -1e9
_TINY = 1e-30


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


def weighted_log_odds(log_odds: tf.Tensor, weights: Float32Array) -> tf.Tensor:
    """Returns the log-odds of the weighted mean of some probabilities, `[...]` float32.

    Of a single probability these are its own, to the last bit.

    Args:
      log_odds: `[..., num_tasks]` float32.
      weights: `[num_tasks]` float32, not negative, some above 0.
    """
    chosen = [task for task, weight in enumerate(weights) if weight > 0]
    if len(chosen) == 1:
        return log_odds[..., chosen[0]]
    probability = tf.sigmoid(log_odds)
    rest = tf.sigmoid(-log_odds)  # not 1 - probability, of which little is left near 1
    return tf.math.log(tf.reduce_sum(probability * weights, axis=-1) + _TINY) - tf.math.log(
        tf.reduce_sum(rest * weights, axis=-1) + _TINY
    )


def joint_log_odds(first: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
    """Returns the log-odds that one thing happens and then another, float32, shaped as both together broadcast.

    Args:
      first: log-odds of the one.
      given: log-odds of the other where the one has happened.
    """
    both = tf.math.log_sigmoid(first) + tf.math.log_sigmoid(given)
    # 1 - σ(first) σ(given) as a sum of what is positive: of a difference little is left near 1.
    neither = tf.sigmoid(-first) + tf.sigmoid(first) * tf.sigmoid(-given)
    return both - tf.math.log(neither + _TINY)


def softmax_loss(queries: tf.Tensor, candidates: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the softmax cross-entropy of inner products, `[num_queries]` float32.

    Args:
      queries: `[num_queries, dim]` float32.
      candidates: `[num_candidates, dim]` float32, shared by all queries.
      targets: `[num_queries]` int32, rows of `candidates`.
    """
    return _log_normaliser(queries, candidates) - tf.reduce_sum(queries * tf.gather(candidates, targets), axis=1)


@tf.custom_gradient
def _log_normaliser(
    queries: tf.Tensor, candidates: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Log of the summed exponentials of each query's inner products.

    The gradient is written out, because it can use the exponentials of the forward pass: this is most of the work of
    training retrieval, and TensorFlow's own cross-entropy takes half as long again.
    """
    logits = tf.matmul(queries, candidates, transpose_b=True)
    largest = tf.reduce_max(logits, axis=1, keepdims=True)
    exponentials = tf.exp(logits - largest)
    with_one = tf.concat([candidates, tf.ones_like(candidates[:, :1])], axis=1)
    summed = tf.matmul(exponentials, with_one)
    total = summed[:, -1:]

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scale = upstream[:, None] / total
        return summed[:, :-1] * scale, tf.matmul(exponentials, queries * scale, transpose_a=True)

    return largest[:, 0] + tf.math.log(total[:, 0]), gradient
