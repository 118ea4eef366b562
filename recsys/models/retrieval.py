"""The two-tower retrieval model and its loss.

Next-item prediction at every position of a window (Self-Attentive Sequential Recommendation, Kang and McAuley,
ICDM 2018) with a softmax over many shared candidates in place of SASRec's single negative, which overrates
its confidence (gSASRec: Reducing Overconfidence in Sequential Recommendation, Petrov and Macdonald, RecSys 2023).
The candidates are corrected by the logarithm of the chance that they were drawn (Sampling-Bias-Corrected Neural
Modeling for Large Corpus Item Recommendations, Yi et al., RecSys 2019). They are distinct, so none counts twice and
none is the positive under another name (no accidental hits).
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_recommenders as tfrs

from recsys.contracts.arrays import Int32Array
from recsys.models.item_tower import ItemTower
from recsys.models.losses import softmax_loss
from recsys.models.query_tower import QueryTower


class RetrievalModel(tfrs.Model):
    """Query tower and item tower; the score of an item is the inner product of their vectors.

    The query's output norm has a learned gain, which is the softmax's inverse temperature; there is no other.
    """

    def __init__(self, query_tower: QueryTower, item_tower: ItemTower, categories: Int32Array, seed: int) -> None:
        """Joins the towers.

        Args:
          query_tower: Encodes histories.
          item_tower: Embeds items.
          categories: `[num_items + 1, max_categories]` int32, the content of each item.
          seed: Draws dropout; with the optimizer's step count, so that a resumed training goes on as it would have.
        """
        super().__init__(name="retrieval")
        self.query_tower = query_tower
        self.item_tower = item_tower
        self._categories = tf.constant(categories)
        self._seed = seed

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the mean cross-entropy of the targets among the batch's candidates, a float32 scalar.

        Args:
          inputs: `items` `[num_candidates]` int32 distinct item indexes, the first 0 (padding);
            `log_probability` `[num_candidates]` float32, of each being a candidate;
            `history` and `target` `[batch, history_length]` int32, *places in `items`*; a target of 0 does not count.
          training: Whether to draw dropout.
        """
        item_seed, query_seed = self._step_seeds() if training else (None, None)
        items = inputs["items"]
        vectors = self.item_tower(items, tf.gather(self._categories, items), item_seed)
        history = inputs["history"]
        mask = tf.cast(history > 0, tf.float32)
        queries = self.query_tower(tf.gather(vectors, history), mask, query_seed)
        counts = inputs["target"] > 0
        queries = tf.boolean_mask(queries, counts)
        corrected = tf.concat([vectors, -inputs["log_probability"][:, None]], axis=1)
        with_one = tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1)
        return tf.reduce_mean(softmax_loss(with_one, corrected[1:], tf.boolean_mask(inputs["target"], counts) - 1))

    def _step_seeds(self) -> list[tf.Tensor]:
        step = tf.cast(self.optimizer.iterations, tf.int32)
        return tf.unstack(tf.random.experimental.stateless_split(tf.stack([self._seed, step]), 2))
