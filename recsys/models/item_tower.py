"""The item tower: one vector per item, out of what it is (its id) and what it is like (its content)."""

from __future__ import annotations

import tensorflow as tf


class ItemTower(tf.keras.Model):
    """Sum of an id embedding and a content vector.

    Row 0 of the id table stands for the unknown item and counts as zeros, so that an item that training never saw
    is placed by its content alone. Dropping ids at random while training teaches the content part to stand on its
    own (DropoutNet: Addressing Cold Start in Recommender Systems, Volkovs, Yu and Poutanen, NeurIPS 2017; here the
    id is dropped on the item side only).
    """

    def __init__(self, num_items: int, num_categories: int, dim: int, id_dropout: float = 0.0) -> None:
        """Builds the tables.

        Args:
          num_items: Items of the vocabulary; indexes run from 1 to it.
          num_categories: Categories of the vocabulary; likewise.
          dim: Length of a vector.
          id_dropout: Share of items whose id is hidden in a training step.
        """
        super().__init__(name="item_tower")
        self.num_items = num_items
        self.dim = dim
        self._id_dropout = id_dropout
        self._ids = _table(num_items + 1, dim, "item_ids")
        self._categories = _table(num_categories + 1, dim, "categories")
        self._content = tf.keras.layers.Dense(dim, name="content")
        self._ids.build(None)
        self._categories.build(None)
        self._content.build((None, dim))
        self.built = True

    @property
    def tables(self) -> list[tf.Variable]:
        """The weights that grow with the vocabulary: one row per item, and one per category."""
        return [self._ids.embeddings, self._categories.embeddings]

    def call(self, item_index: tf.Tensor, categories: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Returns `[num, dim]` float32 vectors.

        Args:
          item_index: `[num]` int32, 0 is unknown.
          categories: `[num, max_categories]` int32, 0 is padding.
          seed: `[2]` int32 while training, which draws the dropped ids; None at inference.
        """
        known = tf.cast(item_index > 0, tf.float32)
        if seed is not None and self._id_dropout > 0:
            known *= tf.cast(tf.random.stateless_uniform(tf.shape(known), seed) >= self._id_dropout, tf.float32)
        return self._ids(item_index) * known[:, None] + self._content(self._mean_category(categories))

    def _mean_category(self, categories: tf.Tensor) -> tf.Tensor:
        present = tf.cast(categories > 0, tf.float32)
        total = tf.reduce_sum(self._categories(categories) * present[:, :, None], axis=1)
        return total / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)


def _table(num_rows: int, dim: int, name: str) -> tf.keras.layers.Embedding:
    """An embedding whose rows are of about unit length, so that scores start at a scale that a softmax can use."""
    initializer = tf.keras.initializers.RandomNormal(stddev=dim**-0.5)
    return tf.keras.layers.Embedding(num_rows, dim, initializer, name=name)
