"""The device's re-ranking tower: small, stateless, fed with what only the device knows.

Target attention over recent private behaviour: Deep Interest Network for Click-Through Rate Prediction, Zhou et al.,
KDD 2018. Deviations: attention by similarity and recency, softmaxed, in place of a network per pair; vectors come
from the cloud and are not trained; the output is a correction to the cloud's score and to the device's own query's.

Plain dense layers and built-in operations alone, so that one tower trains under federated learning and runs under
LiteRT.
"""

from __future__ import annotations

from typing import NamedTuple

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
    matches = HistoryMatch(settings.history_length, name="history_match")(
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
    return tf.keras.Model(inputs, {"score": Scores(name="score")(total)}, name="device_tower")


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


class Scores(tf.keras.layers.Layer):
    """Drops the last axis, of size 1. It does not reshape: an exported tower would work out the shape of each list."""

    def call(self, totals: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, num_candidates]` float32 of `[batch, num_candidates, 1]`."""
        return tf.squeeze(totals, axis=2)


class BothScores(tf.keras.layers.Layer):
    """The cloud's score, and the inner product of the device's query and each candidate, standardised as the former."""

    def call(self, cloud_scores: tf.Tensor, candidates: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, num_candidates, 2]` float32; arguments as of the tower."""
        return both_scores(cloud_scores, candidates, query)


def both_scores(cloud_scores: tf.Tensor, candidates: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """Returns what `BothScores` does, `[batch, num_candidates, 2]` float32."""
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

    def __init__(self, history_length: int, name: str) -> None:
        """Builds the attention's weights; one learned number per place back in time, and a temperature.

        Args:
          history_length: Items of the history.
          name: Name of the layer.
        """
        super().__init__(name=name)
        ages = [float(age) for age in range(history_length - 1, -1, -1)]
        decay = tf.constant_initializer([-0.1 * age for age in ages])
        self._sharpness = self.add_weight("sharpness", (), initializer=tf.constant_initializer(4.0))
        self._recency = self.add_weight("recency", (history_length,), initializer=decay)

    def call(self, candidates: tf.Tensor, history: tf.Tensor, mask: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, num_candidates, 3 + 2 * dim]` float32; arguments as of the tower."""
        return match_history(candidates, history, mask, query, self._sharpness, self._recency).features


class Match(NamedTuple):
    """What `HistoryMatch` gives, and on the way to it all that its gradient needs.

    Attributes:
      features: `[batch, num_candidates, 3 + 2 * dim]` float32.
      candidate: `[batch, num_candidates, dim]` float32, of length 1.
      past: `[batch, history_length, dim]` float32, of length 1, or zero where there is no item.
      similarity: `[batch, num_candidates, history_length]` float32.
      attention: `[batch, num_candidates, history_length]` float32, adds up to 1.
      recency: `[batch, history_length]` float32, adds up to 1.
      attended: `[batch, num_candidates, dim]` float32.
      any_seen: `[batch, 1, 1]` float32, 0 where the history is empty.
    """

    features: tf.Tensor
    candidate: tf.Tensor
    past: tf.Tensor
    similarity: tf.Tensor
    attention: tf.Tensor
    recency: tf.Tensor
    attended: tf.Tensor
    any_seen: tf.Tensor


def match_history(
    candidates: tf.Tensor,
    history: tf.Tensor,
    mask: tf.Tensor,
    query: tf.Tensor,
    sharpness: tf.Tensor,
    recency: tf.Tensor,
) -> Match:
    """Returns the match of each candidate; arguments as of the tower, and the two weights of `HistoryMatch`."""
    dim = candidates.shape[2]
    candidate, past = unit(candidates), unit(history) * mask[:, :, None]
    similarity = tf.matmul(candidate, past, transpose_b=True)
    hidden_from = (1.0 - mask) * _NEVER
    any_seen = tf.reduce_max(mask, axis=1)[:, None, None]
    attention = tf.nn.softmax(similarity * sharpness + (recency + hidden_from)[:, None, :])
    attended = tf.matmul(attention * any_seen, past)
    recent = tf.nn.softmax(recency + hidden_from)
    nearest = tf.reduce_max(similarity + hidden_from[:, None, :], axis=2, keepdims=True)
    scalars = [
        tf.reduce_sum(candidate * unit(attended), axis=2, keepdims=True),
        tf.maximum(nearest, -1.0) * any_seen,
        tf.reduce_sum(similarity * recent[:, None, :], axis=2, keepdims=True),
    ]
    products = [candidate * attended * float(dim), candidate * unit(query)[:, None, :] * float(dim)]
    features = tf.concat(scalars + products, axis=2)
    return Match(features, candidate, past, similarity, attention, recent, attended, any_seen)


def unit(vectors: tf.Tensor) -> tf.Tensor:
    """Returns `[..., dim]` vectors at length 1; those near zero stay near it."""
    return vectors / length_of(vectors)


def length_of(vectors: tf.Tensor) -> tf.Tensor:
    """Returns the length of `[..., dim]` vectors, `[..., 1]` float32, never 0."""
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + _TINY)
