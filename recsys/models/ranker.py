"""The cloud's ranker: scores a list of retrieved candidates.

DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems, Wang et al.,
WWW 2021. Deviation: its output is added to the retrieval score, so that it learns a correction and starts from none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from recsys.config import RankerSettings
from recsys.contracts.arrays import Float32Array
from recsys.errors import TrainingError
from recsys.features.ranking import RANKING_FEATURES
from recsys.models.losses import listwise_loss

_RETRIEVAL_SCORE = RANKING_FEATURES.index("retrieval_score")


class Ranker(tfrs.Model):
    """Cross layers, then dense ones, over the features and the products of query and candidate.

    An untrained ranker keeps the order of retrieval: its last layer starts at zero.
    """

    def __init__(self, dim: int, settings: RankerSettings) -> None:
        """Builds the layers.

        Args:
          dim: Length of a vector.
          settings: Sizes.
        """
        super().__init__(name="ranker")
        self.dim = dim
        num_features, num_matches = len(RANKING_FEATURES), settings.hidden_units[-1]
        self._mean = self.add_weight("feature_mean", (num_features,), trainable=False, initializer="zeros")
        self._deviation = self.add_weight("feature_deviation", (num_features,), trainable=False, initializer="ones")
        self._retrieval_weight = self.add_weight("retrieval_weight", (), initializer="ones")
        self._match = tf.keras.layers.Dense(num_matches, name="match")
        self._match.build((None, None, dim))
        width = num_features + num_matches
        tf.keras.backend.reset_uids()  # a cross layer numbers its inner one by it: equal rankers, equal exports
        self._cross = [tfrs.layers.dcn.Cross(name=f"cross_{number}") for number in range(settings.num_cross_layers)]
        self._hidden = [
            tf.keras.layers.Dense(units, activation="relu", name=f"hidden_{number}")
            for number, units in enumerate(settings.hidden_units)
        ]
        self._correction = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="correction")
        probe = tf.zeros((1, 1, width))
        self._correction(self._deepen(self._crossed(probe)))
        self.built = True

    def adapt(self, features: Float32Array) -> None:
        """Takes the mean and the deviation of each feature from training lists.

        Args:
          features: `[num_lists, num_candidates, num_features]` float32.

        Raises:
          TrainingError: If there are none, they are not finite, or of another number than the ranker reads.
        """
        rows = features.reshape(-1, features.shape[-1])
        if features.shape[-1] != len(RANKING_FEATURES) or len(rows) == 0 or not np.isfinite(rows).all():
            raise TrainingError(
                f"Expected finite ranking features [num_lists, num_candidates, {len(RANKING_FEATURES)}], "
                f"got {list(features.shape)}. Are the item vectors finite?"
            )
        deviation = rows.std(axis=0, dtype=np.float64)
        self._mean.assign(rows.mean(axis=0, dtype=np.float64))
        self._deviation.assign(np.where(deviation > 1e-6, deviation, 1.0))

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns a score per candidate, `[batch, num_candidates]` float32.

        Args:
          inputs: `query` `[batch, dim]`, `candidates` `[batch, num_candidates, dim]` and
            `features` `[batch, num_candidates, num_features]` (see `ranking_features`), all float32.
        """
        features = (inputs["features"] - self._mean) / self._deviation
        matches = self._match(inputs["query"][:, None, :] * inputs["candidates"])
        hidden = self._deepen(self._crossed(tf.concat([features, matches], axis=2)))
        prior = inputs["features"][:, :, _RETRIEVAL_SCORE] * self._retrieval_weight
        return prior + self._correction(hidden)[:, :, 0]

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the mean listwise cross-entropy, a float32 scalar.

        Args:
          inputs: As of `call`, and `labels` and `candidate_mask`, both `[batch, num_candidates]` float32: 1 at the
            positive, and 1 where there is a candidate.
          training: Makes no difference: there is no dropout here.
        """
        return tf.reduce_mean(listwise_loss(inputs["labels"], self(inputs), inputs["candidate_mask"]))

    def _crossed(self, inputs: tf.Tensor) -> tf.Tensor:
        crossed = inputs
        for layer in self._cross:
            crossed = layer(inputs, crossed)
        return crossed

    def _deepen(self, hidden: tf.Tensor) -> tf.Tensor:
        for layer in self._hidden:
            hidden = layer(hidden)
        return hidden
