"""The device's re-ranking tower: small, stateless, fed with what only the device knows.

Target attention over recent private behaviour: Deep Interest Network for Click-Through Rate Prediction, Zhou et al.,
KDD 2018. Deviations: attention by similarity and recency, softmaxed, in place of a network per pair; vectors come
from the cloud and are not trained; the output is a correction to the cloud's score and to the device's own query's.

Plain dense layers and built-in operations alone, so that one tower trains under federated learning and runs under
LiteRT.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from recsys.config.federated import DeviceSettings

_NEVER = -1e9
_TINY = 1e-6


def build_device_tower(dim: int, settings: DeviceSettings, seed: int = 0) -> tf.keras.Model:
    """Returns a model from the inputs of the signature `rerank` to `{"score": [batch, num_candidates]}` float32.

    Inputs, all float32: `candidates` `[batch, num_candidates, dim]`, `cloud_scores` `[batch, num_candidates]`
    (standardised within the list), `query` `[batch, dim]`, `history` `[batch, history_length, dim]` (oldest first,
    padded on the left) and `history_mask` `[batch, history_length]`. A candidate whose vector is zero is padding: it
    does not move the others' scores. Untrained it orders by about the sum of both scores, standardised.

    Args:
      dim: Length of a vector.
      settings: Sizes.
      seed: Draws the initial weights.
    """
    inputs = {
        "candidates": tf.keras.Input((None, dim), name="candidates"),
        "cloud_scores": tf.keras.Input((None,), name="cloud_scores"),
        "query": tf.keras.Input((dim,), name="query"),
        "history": tf.keras.Input((settings.history_length, dim), name="history"),
        "history_mask": tf.keras.Input((settings.history_length,), name="history_mask"),
    }
    scores = BothScores(name="scores")(inputs["cloud_scores"], inputs["candidates"], inputs["query"])
    matches = HistoryMatch(settings.history_length, dim, name="history_match")(
        inputs["candidates"], inputs["history"], inputs["history_mask"], inputs["query"]
    )
    hidden = tf.keras.layers.Concatenate(axis=2, name="features")([scores, matches])
    for number, units in enumerate(settings.hidden_units):
        initializer = tf.keras.initializers.GlorotUniform(seed=seed + number)
        hidden = tf.keras.layers.Dense(units, "relu", kernel_initializer=initializer, name=f"hidden_{number}")(hidden)
    faint = tf.keras.initializers.RandomNormal(stddev=0.01, seed=seed + len(settings.hidden_units))
    correction = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer=faint, name="correction")(hidden)
    prior = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="prior")(scores)
    total = tf.keras.layers.Add(name="total")([prior, correction])
    return tf.keras.Model(inputs, {"score": tf.keras.layers.Reshape((-1,), name="score")(total)}, name="device_tower")


def is_untrained(tower: tf.keras.Model, dim: int, settings: DeviceSettings) -> bool:
    """Returns whether the weights that no seed draws are all where `build_device_tower` puts them.

    Args:
      tower: Of these sizes.
      dim: Length of a vector.
      settings: Sizes.
    """
    start, other = (build_device_tower(dim, settings, seed).get_weights() for seed in (0, 1))
    fixed = [np.array_equal(one, two) for one, two in zip(start, other, strict=True)]
    unmoved = [np.array_equal(one, now) for one, now in zip(start, tower.get_weights(), strict=True)]
    return all(same for same, is_fixed in zip(unmoved, fixed, strict=True) if is_fixed)


class BothScores(tf.keras.layers.Layer):
    """The cloud's score, and the inner product of the device's query and each candidate, standardised as the former."""

    def call(self, cloud_scores: tf.Tensor, candidates: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, num_candidates, 2]` float32; arguments as of the tower."""
        present = tf.cast(tf.reduce_max(tf.abs(candidates), axis=2) > 0, tf.float32)
        count = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        own = tf.linalg.matvec(candidates, query)
        centred = (own - tf.reduce_sum(own * present, axis=1, keepdims=True) / count) * present
        variance = tf.reduce_sum(tf.square(centred), axis=1, keepdims=True) / count
        return tf.stack([cloud_scores, centred / tf.sqrt(tf.maximum(variance, _TINY))], axis=2)


class HistoryMatch(tf.keras.layers.Layer):
    """How each candidate meets the recent behaviour: scalars and elementwise products.

    All vectors are scaled to the same length first, so that a new item tower with another scale does no harm.
    """

    def __init__(self, history_length: int, dim: int, name: str) -> None:
        """Builds the attention's weights; one learned number per place back in time, and a temperature.

        Args:
          history_length: Items of the history.
          dim: Length of a vector.
          name: Name of the layer.
        """
        super().__init__(name=name)
        self._dim = dim
        ages = [float(age) for age in range(history_length - 1, -1, -1)]
        decay = tf.constant_initializer([-0.1 * age for age in ages])
        self._sharpness = self.add_weight("sharpness", (), initializer=tf.constant_initializer(4.0))
        self._recency = self.add_weight("recency", (history_length,), initializer=decay)

    def call(self, candidates: tf.Tensor, history: tf.Tensor, mask: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, num_candidates, 3 + 2 * dim]` float32; arguments as of the tower."""
        candidate, past = _unit(candidates), _unit(history) * mask[:, :, None]
        similarity = tf.matmul(candidate, past, transpose_b=True)
        hidden_from = (1.0 - mask) * _NEVER
        any_seen = tf.reduce_max(mask, axis=1)[:, None, None]
        attention = tf.nn.softmax(similarity * self._sharpness + (self._recency + hidden_from)[:, None, :])
        attended = tf.matmul(attention * any_seen, past)
        recency = tf.nn.softmax(self._recency + hidden_from)[:, None, :]
        nearest = tf.reduce_max(similarity + hidden_from[:, None, :], axis=2, keepdims=True)
        scalars = [
            tf.reduce_sum(candidate * _unit(attended), axis=2, keepdims=True),
            tf.maximum(nearest, -1.0) * any_seen,
            tf.reduce_sum(similarity * recency, axis=2, keepdims=True),
        ]
        products = [candidate * attended * float(self._dim), candidate * _unit(query)[:, None, :] * float(self._dim)]
        return tf.concat(scalars + products, axis=2)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return vectors / tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + _TINY)
