"""The reference tower of measurements: 64 -> 32 -> 1, a click or none, on examples that are drawn.

The same model twice: for packed cohorts with its gradients written out, and in Keras for TFF's own processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.packed.store import Column
from federated.simulation.packed.training import Tensors, mean_per_user

WIDTH: Final = 64
HIDDEN: Final = 32
FIELDS: Final = {"features": (np.float32, (WIDTH,)), "clicked": (np.float32, ())}


def draw_examples(count: int, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """Returns one person's examples: features, and clicks that follow the first of them."""
    features = rng.standard_normal((count, WIDTH), np.float32)
    clicked = (features[:, 0] + rng.standard_normal(count, np.float32) > 0).astype(np.float32)
    return {"features": features, "clicked": clicked}


class PackedReferenceTower:
    """The tower with weights of its own for each person."""

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """Kernel and bias of both layers."""
        return [(WIDTH, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,)]

    @property
    def shared(self) -> Mapping[str, Column]:
        """Nothing."""
        return {}

    def differentiate(
        self, weights: Tensors, batch: Mapping[str, tf.Tensor], shared: Mapping[str, tf.Tensor], present: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors]:
        """Returns losses and gradients; see `PackedTower`."""
        kernel, bias, out_kernel, out_bias = weights
        features, clicked = batch["features"], batch["clicked"]
        before = tf.matmul(features, kernel) + bias[:, None, :]
        hidden = tf.nn.relu(before)
        logits = tf.matmul(hidden, out_kernel)[..., 0] + out_bias
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=clicked, logits=logits)
        share = present / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)
        to_logits = ((tf.sigmoid(logits) - clicked) * share)[..., None]
        to_before = to_logits * tf.transpose(out_kernel, [0, 2, 1]) * tf.cast(before > 0, tf.float32)
        gradients = [
            tf.matmul(features, to_before, transpose_a=True),
            tf.reduce_sum(to_before, axis=1),
            tf.matmul(hidden, to_logits, transpose_a=True),
            tf.reduce_sum(to_logits, axis=1),
        ]
        return mean_per_user(losses, present), gradients


class ClickLoss(tf.keras.losses.Loss):
    """Cross-entropy of clicks, from log-odds."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns `[batch]` float32."""
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=y_true, logits=y_pred)


def reference_model() -> Callable[[], tff.learning.models.VariableModel]:
    """Returns the builder of the tower for TFF's own processes."""

    def build() -> tff.learning.models.VariableModel:
        model = tf.keras.Sequential(
            [
                tf.keras.layers.InputLayer((WIDTH,)),
                tf.keras.layers.Dense(HIDDEN, "relu"),
                tf.keras.layers.Dense(1),
                tf.keras.layers.Reshape(()),
            ]
        )
        spec = (tf.TensorSpec([None, WIDTH], tf.float32), tf.TensorSpec([None], tf.float32))
        return tff.learning.models.from_keras_model(model, loss=ClickLoss(), input_spec=spec)

    return build


def to_stock_dataset(examples: Mapping[str, np.ndarray[Any, Any]], batch_size: int, num_epochs: int) -> tf.data.Dataset:
    """Returns a person's batches for TFF's own processes."""
    rows = tf.data.Dataset.from_tensor_slices((examples["features"], examples["clicked"]))
    return rows.batch(batch_size).repeat(num_epochs)
