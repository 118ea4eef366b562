"""The sequence tower for packed cohorts: a submodel of its own for each person, its loss and its gradients.

`federated/device/sequence.py` is the definition; here every choice of a stretch asks for the next one, out of the rows
of the submodel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from federated.device.sequence import TINY, SequenceWeights
from federated.device.submodel import ABSENT, num_rows
from federated.simulation.packed.store import Column
from federated.simulation.packed.training import Tensors, mean_per_user
from recsys.config.federated import StrictTowerSettings


def submodel_fields(settings: StrictTowerSettings) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Returns the fields of `Submodel`, as the store wants them."""
    places = (settings.history_length,)
    return {
        "rows": (np.int32, (num_rows(settings),)),
        "offsets": (np.float32, (num_rows(settings),)),
        "inputs": (np.int32, places),
        "targets": (np.int32, places),
        "present": (np.float32, places),
    }


@dataclass(frozen=True)
class PackedSequenceTower:
    """The tower over submodels (`PackedTower`).

    Attributes:
      shapes: Of the weights that the server has: whole tables, then the dense part.
    """

    shapes: Sequence[tuple[int, ...]]

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """Of the weights that the server has."""
        return self.shapes

    @property
    def shared(self) -> Mapping[str, Column]:
        """Nothing."""
        return {}

    def differentiate(
        self, weights: Tensors, batch: Mapping[str, tf.Tensor], shared: Mapping[str, tf.Tensor], present: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors]:
        """Returns losses and gradients of one example each; see `PackedTower`. Tables are those of the submodel."""
        inputs, targets, held, offsets = (batch[name][:, 0] for name in ("inputs", "targets", "present", "offsets"))
        with tf.GradientTape() as tape:
            tape.watch(weights)
            named = SequenceWeights(*weights)
            asked = ask_each(named, tf.gather(named.rows, inputs, batch_dims=1))
            scores = tf.matmul(asked, named.rows, transpose_b=True) * tf.exp(named.sharpness)[:, None, None]
            scores += (named.biases + offsets)[:, None, :]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=scores)
            loss = mean_per_user(losses, held) * present[:, 0]
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, weights)


def ask_each(weights: SequenceWeights, vectors: tf.Tensor) -> tf.Tensor:
    """Returns what each choice asks for, `[num_users, length, dim]` float32.

    Args:
      weights: With the people in front; tables are not looked at.
      vectors: `[num_users, length, dim]` float32, of the choices, oldest first; nothing looks at a later one.
    """
    length = vectors.shape[1]
    unit = _even(vectors)[:, None]
    found = tf.matmul(tf.matmul(unit, weights.queries), tf.matmul(unit, weights.keys), transpose_b=True)
    lags = np.subtract.outer(np.arange(length), np.arange(length))
    age = tf.gather(weights.recency, np.maximum(lags, 0), axis=2) + np.where(lags < 0, ABSENT, 0.0).astype(np.float32)
    attention = tf.nn.softmax(found / np.sqrt(weights.keys.shape[3]).astype(np.float32) + age)
    attended = _even(tf.reduce_sum(tf.matmul(attention, tf.matmul(vectors[:, None], weights.values)), axis=1))
    hidden = tf.nn.relu(tf.matmul(attended, weights.hidden) + weights.hidden_biases[:, None])
    return attended + tf.matmul(hidden, weights.output)


def _even(vectors: tf.Tensor) -> tf.Tensor:
    return vectors * tf.math.rsqrt(tf.reduce_mean(tf.square(vectors), axis=-1, keepdims=True) + TINY)
