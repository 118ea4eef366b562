"""The device's re-ranking tower: small, stateless, fed with what only the device knows.

Target attention over recent private behaviour: Deep Interest Network for Click-Through Rate Prediction, Zhou et al.,
KDD 2018. Deviations: attention by similarity and recency, softmaxed, in place of a network per pair; vectors come
from the cloud and are not trained; the output is a correction to the cloud's score and to the device's own query's.

Plain dense layers and built-in operations alone, so that one tower trains under federated learning and runs under
LiteRT.
"""

from __future__ import annotations

import math
from typing import Final

import tensorflow as tf

from recsys.config import DeviceSettings

NUM_FEATURES: Final = 10
"""Numbers per candidate that the tower's dense layers read."""

_NEVER: Final = -1e9
_TINY: Final = 1e-6
_SAME: Final = 0.98
"""Cosine from which on an item counts as one that was met before."""

_HALF_LIVES_ITEMS: Final = (1.5, 4.0, 12.0)
"""How many items back a behaviour counts half in each memory, before training."""


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
    features = ListFeatures(settings.history_length, name="features")(
        inputs["cloud_scores"], inputs["candidates"], inputs["query"], inputs["history"], inputs["history_mask"]
    )
    hidden = features
    for number, units in enumerate(settings.hidden_units):
        initializer = tf.keras.initializers.GlorotUniform(seed=seed + number)
        hidden = tf.keras.layers.Dense(units, "relu", kernel_initializer=initializer, name=f"hidden_{number}")(hidden)
    faint = tf.keras.initializers.RandomNormal(stddev=0.01, seed=seed + len(settings.hidden_units))
    correction = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer=faint, name="correction")(hidden)
    both = tf.constant_initializer([1.0, 1.0] + [0.0] * (NUM_FEATURES - 2))
    prior = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer=both, name="prior")(features)
    total = tf.keras.layers.Add(name="total")([prior, correction])
    return tf.keras.Model(inputs, {"score": tf.keras.layers.Reshape((-1,), name="score")(total)}, name="device_tower")


class ListFeatures(tf.keras.layers.Layer):
    """What is known of each candidate, as few numbers that mean the same in every list.

    The cloud's score; the inner product with the device's own query; how like recent behaviour the candidate is, by a
    short, a middle and a long memory, by target attention, by the nearest item and by the query's direction; whether it
    was met before; and how well the cloud's order agrees with the device's in this list, which tells how much the cloud
    knew of the person. All but the last two are standardised within the list. Products of whole vectors, as in the
    paper, were tried: with a few examples a device they are learned by heart.
    """

    def __init__(self, history_length: int, name: str) -> None:
        """Builds the weights: one number per memory and place back in time, and the attention's sharpness.

        Args:
          history_length: Items of the history.
          name: Name of the layer.
        """
        super().__init__(name=name)
        fading = [
            [-math.log(2.0) * age / half_life for age in range(history_length - 1, -1, -1)]
            for half_life in _HALF_LIVES_ITEMS
        ]
        self._sharpness = self.add_weight("sharpness", (), initializer=tf.constant_initializer(4.0))
        self._recency = self.add_weight(
            "recency", (len(_HALF_LIVES_ITEMS), history_length), initializer=tf.constant_initializer(fading)
        )

    def call(
        self, cloud_scores: tf.Tensor, candidates: tf.Tensor, query: tf.Tensor, history: tf.Tensor, mask: tf.Tensor
    ) -> tf.Tensor:
        """Returns `[batch, num_candidates, NUM_FEATURES]` float32; arguments as of the tower."""
        present = tf.cast(tf.reduce_max(tf.abs(candidates), axis=2) > 0, tf.float32)
        candidate, past = _unit(candidates), _unit(history) * mask[:, :, None]
        similarity = tf.matmul(candidate, past, transpose_b=True)
        hidden_from = (1.0 - mask) * _NEVER
        any_seen = tf.reduce_max(mask, axis=1)[:, None]
        memories = tf.nn.softmax(self._recency + hidden_from[:, None, :])
        remembered = tf.matmul(similarity, memories, transpose_b=True) * any_seen[:, :, None]
        middle = (self._recency[1] + hidden_from)[:, None, :]
        attention = tf.nn.softmax(similarity * self._sharpness + middle)
        attended = tf.reduce_sum(attention * similarity, axis=2) * any_seen
        nearest = tf.maximum(tf.reduce_max(similarity + hidden_from[:, None, :], axis=2), -1.0) * any_seen
        direction = tf.linalg.matvec(candidate, _unit(query))
        own_scores = _standardise(tf.linalg.matvec(candidates, query), present)
        count = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        agreement = tf.reduce_sum(cloud_scores * own_scores, axis=1, keepdims=True) / count
        columns = [
            cloud_scores,
            own_scores,
            *(_standardise(remembered[:, :, memory], present) for memory in range(len(_HALF_LIVES_ITEMS))),
            *(_standardise(column, present) for column in (attended, nearest, direction)),
            tf.nn.relu(nearest - _SAME) / (1.0 - _SAME) * present,
            agreement * present,
        ]
        return tf.stack(columns, axis=2)


def _standardise(scores: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    count = tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
    centred = (scores - tf.reduce_sum(scores * present, axis=1, keepdims=True) / count) * present
    variance = tf.reduce_sum(tf.square(centred), axis=1, keepdims=True) / count
    return centred / tf.sqrt(tf.maximum(variance, _TINY))


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return vectors / tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + _TINY)
