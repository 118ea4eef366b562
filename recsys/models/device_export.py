"""The device tower as LiteRT models, of built-in operations only: to re-rank by, the same in bytes, and to train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import tensorflow as tf

from recsys.config.federated import DeviceSettings
from recsys.contracts.bundle import (
    DEVICE_TOWER_FILE,
    DEVICE_TOWER_INT8_FILE,
    DEVICE_TRAINING_FILE,
    DEVICE_WEIGHTS_FILE,
)
from recsys.models.device_gradients import DeviceBatch, DeviceMathematics, flatten_weights
from recsys.models.export import convert_signatures, trace
from recsys.models.weights import encode_weights

DEVICE_INT8_BOUND: Final = 0.05
"""How far a score of the int8 tower may lie from the float one's at most, in standard deviations of a list's scores."""


def export_device_files(tower: tf.keras.Model, settings: DeviceSettings) -> dict[str, bytes]:
    """Returns what a bundle holds of a device tower, by file.

    Args:
      tower: As `build_device_tower` made it by these settings.
      settings: Sizes of the tower and of a local step.
    """
    return {
        DEVICE_TOWER_FILE: export_device_tower(tower),
        DEVICE_TOWER_INT8_FILE: export_device_tower(tower, int8=True),
        DEVICE_TRAINING_FILE: export_device_training(tower, settings),
        DEVICE_WEIGHTS_FILE: encode_weights(tower),
    }


def export_device_tower(tower: tf.keras.Model, *, int8: bool = False) -> bytes:
    """Returns the tower with the signature `rerank`; inputs and output as of `build_device_tower`.

    Args:
      tower: Trained.
      int8: Whether its large weights are bytes (dynamic range).
    """
    holder = tf.Module()
    holder.weights = list(tower.weights)  # alone: a Keras model would bring its own traces into the saved model
    return convert_signatures(holder, {"rerank": trace(_rerank(tower), _list_shapes(tower, None))}, quantised=int8)


def export_device_training(tower: tf.keras.Model, settings: DeviceSettings) -> bytes:
    """Returns the tower with the signatures `infer`, `train`, `save` and `restore`, which share its weights.

    `infer`: as `rerank` of `export_device_tower`, batch 1. `train`: the fields of `DeviceBatch`, `batch_size` lists of
    `num_candidates`, and `learning_rate`, a scalar → `loss` of the batch, a scalar, before the one step of gradient
    descent that it takes. `save`: → `weights` `[num_weights]` float32. `restore`: `weights` → `weights`, as they are
    now. A fresh interpreter has the tower's weights.

    Args:
      tower: As `build_device_tower` made it by these settings.
      settings: Sizes of the tower and of a local step.
    """
    mathematics = DeviceMathematics(tower)
    holder = tf.Module()
    holder.weights = tf.Variable(flatten_weights(tower), name="weights")
    shapes = {name: tensor.shape[1:] for name, tensor in tower.input.items()}
    size, count = settings.batch_size, settings.num_candidates
    batch = {name: tf.TensorSpec([size, *shape]) for name, shape in shapes.items()} | {
        "candidates": tf.TensorSpec([size, count, *shapes["candidates"][1:]]),
        "cloud_scores": tf.TensorSpec([size, count]),
        "candidate_mask": tf.TensorSpec([size, count]),
        "target": tf.TensorSpec([size, count]),
        "example_mask": tf.TensorSpec([size]),
        "learning_rate": tf.TensorSpec([]),
    }
    signatures = {
        "infer": trace(_infer(mathematics, holder.weights), _list_shapes(tower, 1)),
        "train": trace(_train(mathematics, holder.weights), batch),
        "save": trace(lambda: {"weights": tf.identity(holder.weights)}, {}),
        "restore": trace(_restore(holder.weights), {"weights": tf.TensorSpec([mathematics.num_weights])}),
    }
    return convert_signatures(holder, signatures, with_state=True)


def _list_shapes(tower: tf.keras.Model, batch: int | None) -> dict[str, tf.TensorSpec]:
    """The inputs of the tower for lists of any length: so many, or any number where it is None."""
    return {name: tf.TensorSpec([batch, *tensor.shape[1:]]) for name, tensor in tower.input.items()}


def _rerank(tower: tf.keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    def rerank(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(tower(given))

    return rerank


def _infer(mathematics: DeviceMathematics, weights: tf.Variable) -> Callable[..., dict[str, tf.Tensor]]:
    def infer(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"score": mathematics.score(weights, **given)}

    return infer


def _train(mathematics: DeviceMathematics, weights: tf.Variable) -> Callable[..., dict[str, tf.Tensor]]:
    def train(learning_rate: tf.Tensor, **batch: Any) -> dict[str, tf.Tensor]:
        loss, gradient = mathematics.gradient(weights, DeviceBatch(**batch))
        weights.assign_sub(learning_rate * gradient)
        return {"loss": loss}

    return train


def _restore(variable: tf.Variable) -> Callable[..., dict[str, tf.Tensor]]:
    def restore(weights: tf.Tensor) -> dict[str, tf.Tensor]:
        variable.assign(weights)
        return {"weights": tf.identity(variable)}

    return restore
