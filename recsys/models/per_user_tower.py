"""The device tower with weights of its own for every user: the same scores, many people at once.

`device_tower` is the definition; here it is written as one function of weights and inputs, in which the users are the
leading axis of both. Users do not meet anywhere in it, so the gradient of a sum over users is each user's own gradient.
The first dense layer is applied to each kind of feature by itself, which saves joining them, and the gradient of those
that no weight moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from recsys.config.federated import DeviceSettings

_NEVER = -1e9
_TINY = 1e-6


def device_weight_shapes(dim: int, settings: DeviceSettings) -> list[tuple[int, ...]]:
    """Returns the shapes of the tower's weights, in the order of `build_device_tower(…).trainable_weights`.

    Args:
      dim: Length of a vector.
      settings: Sizes.
    """
    shapes: list[tuple[int, ...]] = [(), (settings.history_length,)]
    width = 5 + 2 * dim
    for units in settings.hidden_units:
        shapes += [(width, units), (units,)]
        width = units
    return [*shapes, (2, 1), (width, 1)]


def score_per_user(weights: Sequence[tf.Tensor], inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns `[num_users, batch, num_candidates]` float32 scores, each user's with the user's own weights.

    Args:
      weights: Of `device_weight_shapes`, each with `num_users` in front.
      inputs: Of the device tower, each with `num_users` in front of its batch.
    """
    sharpness, recency, *dense = weights
    *hidden_layers, prior, correction = dense
    scores = _both_scores(inputs["cloud_scores"], inputs["candidates"], inputs["query"])
    features = [scores, *_match_history(sharpness, recency, inputs)]
    if hidden_layers:
        kernel, bias, *deeper = hidden_layers
        hidden = tf.nn.relu(_project(features, kernel) + bias[:, None, None, :])
        for kernel, bias in zip(deeper[::2], deeper[1::2], strict=True):
            hidden = tf.nn.relu(_project([hidden], kernel) + bias[:, None, None, :])
        features = [hidden]
    return (_project([scores], prior) + _project(features, correction))[..., 0]


def _project(features: Sequence[tf.Tensor], kernel: tf.Tensor) -> tf.Tensor:
    """Multiplies `[users, batch, candidates, …]` features, side by side, with `[users, sum of their widths, units]`."""
    widths = [int(part.shape[-1]) for part in features]
    lead = tf.shape(features[0])
    flat = [tf.reshape(part, [lead[0], lead[1] * lead[2], width]) for part, width in zip(features, widths, strict=True)]
    pieces = tf.split(kernel, widths, axis=1)
    total = tf.add_n([tf.matmul(part, piece) for part, piece in zip(flat, pieces, strict=True)])
    return tf.reshape(total, [lead[0], lead[1], lead[2], int(kernel.shape[-1])])


def _both_scores(cloud_scores: tf.Tensor, candidates: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """`device_tower.BothScores`, which has no weights."""
    present = tf.cast(tf.reduce_max(tf.abs(candidates), axis=-1) > 0, tf.float32)
    count = tf.maximum(tf.reduce_sum(present, axis=-1, keepdims=True), 1.0)
    own = tf.linalg.matvec(candidates, query)
    centred = (own - tf.reduce_sum(own * present, axis=-1, keepdims=True) / count) * present
    variance = tf.reduce_sum(tf.square(centred), axis=-1, keepdims=True) / count
    return tf.stack([cloud_scores, centred / tf.sqrt(tf.maximum(variance, _TINY))], axis=-1)


def _match_history(sharpness: tf.Tensor, recency: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
    """`device_tower.HistoryMatch`: its scalars and products, in the order of its output."""
    mask = inputs["history_mask"]
    candidate, past = _unit(inputs["candidates"]), _unit(inputs["history"]) * mask[..., None]
    query, dim = _unit(inputs["query"]), float(inputs["candidates"].shape[-1])
    similarity = tf.matmul(candidate, past, transpose_b=True)
    hidden_from = (1.0 - mask) * _NEVER
    any_seen = tf.reduce_max(mask, axis=-1)[..., None, None]
    age = recency[:, None, :] + hidden_from
    attention = tf.nn.softmax(similarity * sharpness[:, None, None, None] + age[..., None, :])
    attended = tf.matmul(attention * any_seen, past)
    nearest = tf.reduce_max(similarity + hidden_from[..., None, :], axis=-1, keepdims=True)
    return [
        tf.reduce_sum(candidate * _unit(attended), axis=-1, keepdims=True),
        tf.maximum(nearest, -1.0) * any_seen,
        tf.reduce_sum(similarity * tf.nn.softmax(age)[..., None, :], axis=-1, keepdims=True),
        candidate * attended * dim,
        candidate * query[..., None, :] * dim,
    ]


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return vectors / tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + _TINY)
