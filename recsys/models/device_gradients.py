"""The device tower's gradients, written out in operations that LiteRT has built in.

Taped gradients need `BroadcastGradientArgs`, which a device's interpreter lacks; with these a device trains its tower
with the interpreter that it runs it by. All weights are one vector, so that an update is one array: the tower's
trainable weights, flattened and one behind the other in their order (`flatten_weights`).

A local step is gradient descent on the mean softmax cross-entropy of the lists (`losses.listwise_loss`), as in the
federated rounds. With the names of `device_tower.Match` (c candidate, P past, S similarity, A attention, R recency, a
attended; s sharpness, r the learned recency), x the features, z and h a dense layer before and behind its ReLU, p the
weights of the prior and q those of the correction, y the share that a candidate should have, w the share of a list:

    score    = [cloud, own] p + h q                    dscore = w (softmax(score) - y)
    dp       = [cloud, own]^T dscore                   dq     = h^T dscore        dh = dscore q^T
    dz       = dh where z > 0, else 0                  dW     = x^T dz            db = sum dz       dx = dz W^T
    x        = [.., c unit(a), .., S R, D c a, ..]     with |a| = sqrt(a^T a + tiny), so that unit(a) = a / |a|:
    da       = dx_1 (c / |a| - (c^T a) a / |a|^3) + D dx_3 c
    dA       = da P^T, where there is a history        dR     = sum over candidates of dx_2 S
    logits   = s S + r, A = softmax(logits)            dlogits = A (dA - sum A dA)
    ds       = sum dlogits S                           dr      = sum dlogits + sum R (dR - sum R dR)

The other features (the nearest item of the history, the product with the query) hold no weight before the dense layers.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import tensorflow as tf

from recsys.contracts.arrays import Float32Array
from recsys.models.device_tower import Match, both_scores, length_of, match_history

_ABSENT: Final = -1e9
_NUM_SCORES: Final = 2
_COSINE, _RECENT, _PRODUCTS = 2, 4, 5
"""Columns of the features: the cosine with what is attended to, the mean similarity by recency, the products."""


class DeviceBatch(NamedTuple):
    """Lists for one local step.

    Attributes:
      candidates: `[batch, num_candidates, dim]` float32.
      cloud_scores: `[batch, num_candidates]` float32, standardised.
      query: `[batch, dim]` float32.
      history: `[batch, history_length, dim]` float32.
      history_mask: `[batch, history_length]` float32.
      candidate_mask: `[batch, num_candidates]` float32, 0 where a list is shorter than the axis.
      target: `[batch, num_candidates]` float32, the share that each candidate should have; a list's sum to 1.
      example_mask: `[batch]` float32, 0 where the batch is short.
    """

    candidates: tf.Tensor
    cloud_scores: tf.Tensor
    query: tf.Tensor
    history: tf.Tensor
    history_mask: tf.Tensor
    candidate_mask: tf.Tensor
    target: tf.Tensor
    example_mask: tf.Tensor


class _Forward(NamedTuple):
    """The tower's steps, rows being the candidates of all lists.

    Attributes:
      scores: `[batch, num_candidates]` float32.
      given: `[num_rows, 2]` float32, both scores.
      layers: For each dense layer its input `[num_rows, width]`; behind them the last one's output.
    """

    scores: tf.Tensor
    given: tf.Tensor
    layers: list[tf.Tensor]
    match: Match


def flatten_weights(tower: tf.keras.Model) -> Float32Array:
    """Returns all trainable weights of a device tower as one vector, `[num_weights]` float32."""
    return tf.concat([tf.reshape(weight, [-1]) for weight in tower.trainable_weights], axis=0).numpy()


class DeviceMathematics:
    """Scores and gradients of device towers of one shape, the weights being an argument."""

    def __init__(self, tower: tf.keras.Model) -> None:
        """Takes the shapes of a tower's weights, and none of its values.

        Args:
          tower: As `build_device_tower` made it.
        """
        self._shapes = [tuple(weight.shape) for weight in tower.trainable_weights]
        self.num_weights = sum(math.prod(shape) for shape in self._shapes)

    def score(
        self,
        weights: tf.Tensor,
        candidates: tf.Tensor,
        cloud_scores: tf.Tensor,
        query: tf.Tensor,
        history: tf.Tensor,
        history_mask: tf.Tensor,
    ) -> tf.Tensor:
        """Returns what the tower returns, `[batch, num_candidates]` float32.

        Args:
          weights: `[num_weights]` float32.
          candidates: This and the others as of `build_device_tower`.
          cloud_scores: As above.
          query: As above.
          history: As above.
          history_mask: As above.
        """
        arrays = self._split(weights)
        return _run(arrays, candidates, cloud_scores, query, history, history_mask).scores

    def gradient(self, weights: tf.Tensor, batch: DeviceBatch) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the mean loss of a batch's lists, a scalar, and its gradient, `[num_weights]` float32.

        Args:
          weights: `[num_weights]` float32.
          batch: Of static shape.
        """
        arrays = self._split(weights)
        forward = _run(arrays, *batch[:5])
        scores = forward.scores + (1.0 - batch.candidate_mask) * _ABSENT
        share = batch.example_mask / tf.maximum(tf.reduce_sum(batch.example_mask), 1.0)
        loss = -tf.reduce_sum(share * tf.reduce_sum(batch.target * tf.nn.log_softmax(scores), axis=1))
        to_scores = (tf.nn.softmax(scores) - batch.target) * share[:, None]
        gradients = _differentiate(arrays, forward, tf.reshape(to_scores, [-1, 1]))
        return loss, tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)

    def _split(self, weights: tf.Tensor) -> list[tf.Tensor]:
        arrays, start = [], 0
        for shape in self._shapes:
            size = math.prod(shape)
            arrays.append(tf.reshape(weights[start : start + size], shape))
            start += size
        return arrays


def _run(
    weights: list[tf.Tensor],
    candidates: tf.Tensor,
    cloud_scores: tf.Tensor,
    query: tf.Tensor,
    history: tf.Tensor,
    history_mask: tf.Tensor,
) -> _Forward:
    sharpness, recency, *dense, prior, correction = weights
    match = match_history(candidates, history, history_mask, query, sharpness, recency)
    both = both_scores(cloud_scores, candidates, query)
    given = tf.reshape(both, [-1, _NUM_SCORES])
    hidden = tf.reshape(tf.concat([both, match.features], axis=2), [-1, dense[0].shape[0]])
    layers = [hidden]
    for kernel, bias in zip(dense[::2], dense[1::2], strict=True):
        layers.append(tf.nn.relu(tf.matmul(layers[-1], kernel) + bias))
    total = tf.matmul(given, prior) + tf.matmul(layers[-1], correction)
    return _Forward(tf.reshape(total, tf.shape(cloud_scores)), given, layers, match)


def _differentiate(weights: list[tf.Tensor], forward: _Forward, to_scores: tf.Tensor) -> list[tf.Tensor]:
    """Returns the gradient of each weight, given that of the scores, `[num_rows, 1]` float32."""
    _, _, *dense, _, correction = weights
    to_prior = tf.matmul(forward.given, to_scores, transpose_a=True)
    to_correction = tf.matmul(forward.layers[-1], to_scores, transpose_a=True)
    upstream = tf.matmul(to_scores, correction, transpose_b=True)
    to_dense: list[tf.Tensor] = []
    for place in range(len(dense) // 2 - 1, -1, -1):
        upstream *= tf.cast(forward.layers[place + 1] > 0, tf.float32)
        to_dense[:0] = [
            tf.matmul(forward.layers[place], upstream, transpose_a=True),
            tf.reduce_sum(upstream, axis=0),
        ]
        upstream = tf.matmul(upstream, dense[2 * place], transpose_b=True)
    shape = forward.match.candidate.shape
    to_sharpness, to_recency = _differentiate_match(forward.match, tf.reshape(upstream, [*shape[:2], -1]))
    return [to_sharpness, to_recency, *to_dense, to_prior, to_correction]


def _differentiate_match(match: Match, to_features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of the sharpness and of the recency, given that of `[both scores, match.features]`."""
    dim = match.candidate.shape[2]
    to_cosine = to_features[:, :, _COSINE : _COSINE + 1]
    to_recent = to_features[:, :, _RECENT : _RECENT + 1]
    to_product = to_features[:, :, _PRODUCTS : _PRODUCTS + dim]
    length = length_of(match.attended)
    product = tf.reduce_sum(match.candidate * match.attended, axis=2, keepdims=True)
    along = match.candidate / length - match.attended * (product / (length * length * length))
    to_attended = to_cosine * along + to_product * match.candidate * float(dim)
    to_attention = tf.matmul(to_attended * match.any_seen, match.past, transpose_b=True)
    to_logits = _through_softmax(match.attention, to_attention)
    to_mean = tf.reduce_sum(to_recent * match.similarity, axis=1)
    to_recency = tf.reduce_sum(to_logits, axis=[0, 1]) + tf.reduce_sum(_through_softmax(match.recency, to_mean), axis=0)
    return tf.reduce_sum(to_logits * match.similarity), to_recency


def _through_softmax(probabilities: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    weighed = tf.reduce_sum(probabilities * upstream, axis=-1, keepdims=True)
    return probabilities * (upstream - weighed)
