"""The device tower as TFF's learning algorithms want it: batches of item indexes in, a listwise loss out.

Item vectors are the same on every device and nobody trains them, so they are a constant of the model and gathered
inside the worker; a client's examples carry indexes alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import tensorflow as tf
import tensorflow_federated as tff

from federated.device.examples import LocalExamples
from federated.simulation.views import View, find_local, split_weights
from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array
from recsys.models.device_tower import build_device_tower
from recsys.models.losses import listwise_loss

_ABSENT: Final = -1e9


class ListwiseLoss(tf.keras.losses.Loss):
    """`listwise_loss`, with labels as shares of the candidates (`[batch, num_candidates]` float32)."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns `[batch]` float32."""
        return listwise_loss(y_true, y_pred)


class VectorTable(tf.keras.layers.Layer):
    """Gathers the vectors of candidates and histories out of one frozen table."""

    def __init__(self, vectors: Float32Array) -> None:
        """Keeps `[num_items + 1, dim]` float32 vectors, row 0 zero."""
        super().__init__(name="vector_table")
        self._vectors = vectors

    def call(self, candidates: tf.Tensor, history: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a vector per index of both. They are gathered at once, so that the graph holds the table once."""
        gathered = tf.gather(tf.constant(self._vectors), tf.concat([candidates, history], axis=1))
        num_candidates = tf.shape(candidates)[1]
        return gathered[:, :num_candidates], gathered[:, num_candidates:]


def example_spec(dim: int, settings: DeviceSettings) -> tuple[OrderedDict[str, tf.TensorSpec], tf.TensorSpec]:
    """Returns what a batch of local examples looks like: inputs by name, sorted as TFF demands, and targets."""
    features = OrderedDict(
        candidates=tf.TensorSpec([None, settings.num_candidates], tf.int32),
        cloud_scores=tf.TensorSpec([None, settings.num_candidates], tf.float32),
        history=tf.TensorSpec([None, settings.history_length], tf.int32),
        query=tf.TensorSpec([None, dim], tf.float32),
    )
    return features, tf.TensorSpec([None, settings.num_candidates], tf.float32)


def to_dataset(examples: LocalExamples, settings: DeviceSettings) -> tf.data.Dataset:
    """Returns a client's batches: its examples, oldest first, once per local epoch."""
    features = OrderedDict(
        candidates=examples.candidates,
        cloud_scores=examples.cloud_scores,
        history=examples.history,
        query=examples.query,
    )
    rows = tf.data.Dataset.from_tensor_slices((features, examples.target))
    return rows.batch(settings.batch_size).repeat(settings.local_epochs)


def model_builder(vectors: Float32Array, settings: DeviceSettings) -> Callable[[], tff.learning.models.VariableModel]:
    """Returns the function out of which TFF builds the model, in graphs of its own.

    The model's trainable weights are those of `build_device_tower`, in the same order.

    Args:
      vectors: `[num_items + 1, dim]` float32, row 0 zero.
      settings: Of the tower.
    """

    def build() -> tff.learning.models.VariableModel:
        model = _build_keras(vectors, settings)
        return tff.learning.models.from_keras_model(
            model, loss=ListwiseLoss(), input_spec=example_spec(int(vectors.shape[1]), settings)
        )

    return build


def view_builder(
    vectors: Float32Array, settings: DeviceSettings, view: View
) -> Callable[[], tff.learning.models.ReconstructionModel]:
    """Returns the same of a model some of whose weights never leave a device; further arguments as of `model_builder`.

    Args:
      vectors: As above.
      settings: As above.
      view: Which those are.
    """

    def build() -> tff.learning.models.ReconstructionModel:
        model = _build_keras(vectors, settings)
        shared, local = split_weights(model.trainable_variables, find_local(view, len(model.trainable_variables)))
        return tff.learning.models.ReconstructionModel.from_keras_model_and_variables(
            keras_model=model,
            global_trainable_variables=shared,
            global_non_trainable_variables=[],
            local_trainable_variables=local,
            local_non_trainable_variables=[],
            input_spec=example_spec(int(vectors.shape[1]), settings),
        )

    return build


def _build_keras(vectors: Float32Array, settings: DeviceSettings) -> tf.keras.Model:
    dim = int(vectors.shape[1])
    features, _ = example_spec(dim, settings)
    inputs = {name: tf.keras.Input(spec.shape[1:], dtype=spec.dtype, name=name) for name, spec in features.items()}
    candidates, history = VectorTable(vectors)(inputs["candidates"], inputs["history"])
    tower = build_device_tower(dim, settings)
    scored = tower(
        {
            "candidates": candidates,
            "cloud_scores": inputs["cloud_scores"],
            "query": inputs["query"],
            "history": history,
            "history_mask": tf.cast(inputs["history"] > 0, tf.float32),
        }
    )["score"]
    padding = tf.cast(tf.equal(inputs["candidates"], 0), tf.float32)
    return tf.keras.Model(inputs, scored + padding * _ABSENT)
