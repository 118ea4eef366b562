"""The device tower for packed cohorts: examples of item indexes in, a listwise loss and its gradients out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from federated.device.examples import LocalExamples
from federated.simulation.packed.store import Column
from federated.simulation.packed.training import Tensors, mean_per_user
from recsys.config.federated import DeviceSettings
from recsys.models.per_user_tower import device_weight_shapes, score_per_user

_ABSENT = -1e9


def example_fields(dim: int, settings: DeviceSettings) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Returns the fields of `LocalExamples`, as the store wants them."""
    return {
        "candidates": (np.int32, (settings.num_candidates,)),
        "cloud_scores": (np.float32, (settings.num_candidates,)),
        "history": (np.int32, (settings.history_length,)),
        "query": (np.float32, (dim,)),
        "target": (np.float32, (settings.num_candidates,)),
    }


def to_fields(examples: LocalExamples) -> dict[str, np.ndarray[Any, Any]]:
    """Returns a person's examples by field."""
    return {name: getattr(examples, name) for name in ("candidates", "cloud_scores", "history", "query", "target")}


@dataclass(frozen=True)
class PackedDeviceTower:
    """`recsys.models.per_user_tower` over the vectors of items, which are the same for all.

    Attributes:
      vectors: `[num_items + 1, dim]` float32, row 0 zero.
      has_item_bias: Whether a number of each item is added to its score: a table with a row an item, the last weight.
    """

    vectors: Column
    settings: DeviceSettings
    has_item_bias: bool = False

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """As of `build_device_tower(…).trainable_weights`, and of the table if there is one."""
        table = [(self.vectors.shape[0],)] if self.has_item_bias else []
        return [*device_weight_shapes(self.vectors.shape[1], self.settings), *table]

    @property
    def shared(self) -> Mapping[str, Column]:
        """The vectors."""
        return {"vectors": self.vectors}

    def differentiate(
        self, weights: Tensors, batch: Mapping[str, tf.Tensor], shared: Mapping[str, tf.Tensor], present: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors]:
        """Returns losses and gradients; see `PackedTower`."""
        inputs = {
            "candidates": tf.gather(shared["vectors"], batch["candidates"]),
            "cloud_scores": batch["cloud_scores"],
            "query": batch["query"],
            "history": tf.gather(shared["vectors"], batch["history"]),
            "history_mask": tf.cast(batch["history"] > 0, tf.float32),
        }
        with tf.GradientTape() as tape:
            tape.watch(weights)
            scores = score_per_user(weights[:-1] if self.has_item_bias else weights, inputs)
            if self.has_item_bias:
                scores += tf.gather(weights[-1], batch["candidates"], axis=1, batch_dims=1)
            # `==` would compare the objects: TFF traces in a graph of TensorFlow 1.
            scores += tf.cast(tf.equal(batch["candidates"], 0), tf.float32) * _ABSENT
            losses = tf.nn.softmax_cross_entropy_with_logits(labels=batch["target"], logits=scores)
            loss = mean_per_user(losses, present)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, weights)
