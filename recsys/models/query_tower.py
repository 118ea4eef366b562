"""The query tower: reads an ordered history of item vectors and answers with the vector of what comes next.

Self-Attentive Sequential Recommendation, Kang and McAuley, ICDM 2018. Deviations: it reads item *vectors* and so
holds no id table (a device feeds it from its vector cache, and items it never saw work by their content); layers
are normalised before, not after, attention; a bias per head learns how much an item counts by how many places
back it lies (as in T5: Raffel et al., JMLR 2020), beside SASRec's learned positions; an empty history has a learned
vector of its own.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from recsys.errors import ConfigError

_NEVER = -1e9
"""Added to the attention logit of what may not be seen; finite, so that a row without any stays finite."""


class QueryTower(tf.keras.Model):
    """Causal self-attention over a window of item vectors, right-aligned (the last slot is the most recent item)."""

    def __init__(self, dim: int, history_length: int, num_blocks: int, num_heads: int, dropout: float = 0.0) -> None:
        """Builds the blocks.

        Args:
          dim: Length of an item vector and of the query; a multiple of `num_heads`.
          history_length: Slots of the window.
          num_blocks: Attention blocks.
          num_heads: Heads of each block.
          dropout: Share of activations dropped while training.

        Raises:
          ConfigError: If the heads do not divide the width.
        """
        if dim % num_heads:
            raise ConfigError(f"Expected `dim` to be a multiple of `num_heads`, got {dim} and {num_heads}.")
        super().__init__(name="query_tower")
        self.dim = dim
        self.history_length = history_length
        self._dropout = dropout
        self._positions = self.add_weight("positions", (history_length, dim), initializer=_small())
        self._empty = self.add_weight("empty_history", (dim,), initializer=_small())
        self._blocks = [
            AttentionBlock(dim, history_length, num_heads, dropout, name=f"block_{number}")
            for number in range(num_blocks)
        ]
        self._norm = tf.keras.layers.LayerNormalization(epsilon=1e-6, name="output_norm")
        self._norm.build((None, None, dim))
        self.built = True

    def call(self, history: tf.Tensor, history_mask: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns `[batch, history_length, dim]` float32: the query after each slot, each seeing only what precedes it.

        Args:
          history: `[batch, history_length, dim]` float32 item vectors, oldest first, padded on the left.
          history_mask: `[batch, history_length]` float32, 1 where there is an item.
          seed: `[2]` int32 while training, which draws dropout; None at inference.
        """
        return self._encode(history, history_mask, seed, last_only=False)

    def encode_last(self, history: tf.Tensor, history_mask: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, dim]` float32: the query after the whole window; arguments as in `call`."""
        return self._encode(history, history_mask, None, last_only=True)[:, 0, :]

    def _encode(self, history: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor | None, last_only: bool) -> tf.Tensor:
        seeds: list[tf.Tensor | None] = [None] * (len(self._blocks) + 1)
        if seed is not None:
            seeds = tf.unstack(tf.random.experimental.stateless_split(seed, len(seeds)))
        causal = np.tril(np.ones((self.history_length, self.history_length), np.float32))
        visible = causal * mask[:, None, :]
        hidden = (history * self.dim**0.5 + self._positions) * mask[:, :, None]
        hidden = drop(hidden, self._dropout, seeds[0])
        for number, block in enumerate(self._blocks):
            at_end = last_only and number == len(self._blocks) - 1
            hidden = block(hidden, visible, seeds[number + 1], last_only=at_end)
        if last_only:
            visible = visible[:, -1:, :]
        any_seen = tf.reduce_max(visible, axis=2, keepdims=True)
        return self._norm(hidden) * any_seen + self._empty * (1.0 - any_seen)


class AttentionBlock(tf.keras.layers.Layer):
    """One pre-norm block: attention and a two-layer network, each added to its input."""

    def __init__(self, dim: int, history_length: int, num_heads: int, dropout: float, name: str) -> None:
        """Builds the weights; arguments as of `QueryTower`."""
        super().__init__(name=name)
        self._num_heads = num_heads
        self._head_dim = dim // num_heads
        self._length = history_length
        self._dropout = dropout
        self._attention_norm = tf.keras.layers.LayerNormalization(epsilon=1e-6, name="attention_norm")
        self._network_norm = tf.keras.layers.LayerNormalization(epsilon=1e-6, name="network_norm")
        self._query = tf.keras.layers.Dense(dim, name="query")
        self._key_value = tf.keras.layers.Dense(2 * dim, name="key_value")
        self._mix = tf.keras.layers.Dense(dim, name="mix")
        self._expand = tf.keras.layers.Dense(2 * dim, activation="relu", name="expand")
        self._contract = tf.keras.layers.Dense(dim, name="contract")
        for layer in (self._attention_norm, self._network_norm, self._query, self._key_value, self._mix, self._expand):
            layer.build((None, None, dim))
        self._contract.build((None, None, 2 * dim))
        self._distance_bias = self.add_weight("distance_bias", (history_length, num_heads), initializer="zeros")
        self.built = True

    def call(
        self, inputs: tf.Tensor, visible: tf.Tensor, seed: tf.Tensor | None = None, last_only: bool = False
    ) -> tf.Tensor:
        """Returns `[batch, slots, dim]` float32, where slots is 1 if `last_only`.

        Args:
          inputs: `[batch, history_length, dim]` float32.
          visible: `[batch, history_length, history_length]` float32, 1 where slot (axis 1) may see slot (axis 2).
          seed: `[2]` int32 while training; None at inference.
          last_only: Whether only the last slot's output is wanted.
        """
        attention_seed, inner_seed, outer_seed = (None, None, None)
        if seed is not None:
            attention_seed, inner_seed, outer_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
        start = self._length - 1 if last_only else 0
        normed = self._attention_norm(inputs)
        attended = self._attend(normed[:, start:, :], normed, visible[:, start:, :], start)
        hidden = inputs[:, start:, :] + drop(attended, self._dropout, attention_seed)
        inner = drop(dense(self._expand, self._network_norm(hidden)), self._dropout, inner_seed)
        return hidden + drop(dense(self._contract, inner), self._dropout, outer_seed)

    def _attend(self, queries: tf.Tensor, inputs: tf.Tensor, visible: tf.Tensor, start: int) -> tf.Tensor:
        query = self._split_heads(dense(self._query, queries))
        key, value = tf.split(dense(self._key_value, inputs), 2, axis=2)
        logits = tf.matmul(query, self._split_heads(key), transpose_b=True) * self._head_dim**-0.5
        logits += self._bias(start) + (1.0 - visible[:, None, :, :]) * _NEVER
        mixed = tf.matmul(tf.nn.softmax(logits), self._split_heads(value))
        joined = [-1, self._length - start, self._num_heads * self._head_dim]
        return dense(self._mix, tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), joined))

    def _split_heads(self, vectors: tf.Tensor) -> tf.Tensor:
        # Only the batch is left open: an exported tower need not work out the shape of every list anew.
        shape = [-1, vectors.shape[1], self._num_heads, self._head_dim]
        return tf.transpose(tf.reshape(vectors, shape), [0, 2, 1, 3])

    def _bias(self, start: int) -> tf.Tensor:
        """The learned bias of each distance, `[num_heads, slots, history_length]`; the future's is never used."""
        slots = tf.range(self._length)
        distance = tf.maximum(slots[start:, None] - slots[None, :], 0)
        return tf.transpose(tf.gather(self._distance_bias, distance), [2, 0, 1])


def dense(layer: tf.keras.layers.Dense, inputs: tf.Tensor) -> tf.Tensor:
    """Returns `[batch, slots, units]`: the layer at each slot of `[batch, slots, dim]`.

    What the layer does by itself, but with the batch alone left open, so that an exported tower need not work out
    shapes anew each time that it runs.
    """
    slots, dim = inputs.shape[1:]
    return tf.reshape(layer(tf.reshape(inputs, [-1, dim])), [-1, slots, layer.units])


def _small() -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.RandomNormal(stddev=0.02)


def drop(values: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Returns `values` with a share `rate` of them zeroed and the rest scaled up; unchanged where `seed` is None.

    Drawn from the seed alone, so that a resumed or repeated training draws the same. One random byte decides over a
    value, which rounds the rate to 1/256 and takes a quarter of the time of drawing floats.
    """
    threshold = round(rate * 256)
    if seed is None or threshold == 0:
        return values
    size = tf.size(values)
    words = tf.random.stateless_uniform([size // 4 + 1], seed, minval=None, maxval=None, dtype=tf.int32)
    draws = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size]
    kept = tf.reshape(tf.cast(draws >= threshold, values.dtype), tf.shape(values))
    return values * kept * (256.0 / (256 - threshold))
