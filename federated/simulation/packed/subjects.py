"""What is measured: a tower, examples that are drawn for it, and the same for TFF's own processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.device.examples import LocalExamples
from federated.simulation import model
from federated.simulation.packed import reference
from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields, to_fields
from federated.simulation.packed.store import write_table
from federated.simulation.packed.training import PackedTower
from recsys.config.federated import DeviceSettings, FederatedSettings, RoundSettings
from recsys.models.per_user_tower import device_weight_shapes

_NUM_ITEMS: Final = 2_000
_DIM: Final = 64
_Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Subject:
    """A tower that is trained both ways.

    Attributes:
      num_examples: Of each person.
      fields: As the store wants them.
      weight_shapes: Of the tower.
      draw: From a seed and a person's number to examples by field.
      pack: From the folder of the examples to the tower for packs.
      stock_model: Builds the tower for TFF's own processes.
      stock_dataset: From examples by field to the batches of a person, for TFF's own processes.
    """

    name: str
    settings: FederatedSettings
    num_examples: int
    fields: Mapping[str, tuple[type, tuple[int, ...]]]
    weight_shapes: list[tuple[int, ...]]
    draw: Callable[[int, int], _Arrays]
    pack: Callable[[Path], PackedTower]
    stock_model: Callable[[], tff.learning.models.VariableModel]
    stock_dataset: Callable[[_Arrays], tf.data.Dataset]

    def draw_weights(self, seed: int) -> list[np.ndarray[Any, Any]]:
        """Returns weights to start from."""
        rng = np.random.default_rng(seed)
        return [rng.normal(0, 0.1, shape).astype(np.float32) for shape in self.weight_shapes]


def reference_subject(users_per_pack: int) -> Subject:
    """Returns the reference tower, 64 -> 32 -> 1: 100 examples a person, in batches of 20, once."""
    tower, count = reference.PackedReferenceTower(), 100
    device = DeviceSettings(batch_size=20, local_epochs=1, learning_rate=0.1, max_examples=count)
    return Subject(
        name="reference",
        settings=FederatedSettings(device=device, rounds=RoundSettings(users_per_pack=users_per_pack)),
        num_examples=count,
        fields=reference.FIELDS,
        weight_shapes=list(tower.weight_shapes),
        draw=lambda seed, number: reference.draw_examples(count, np.random.default_rng([seed, number])),
        pack=lambda folder: tower,
        stock_model=reference.reference_model(),
        stock_dataset=lambda examples: reference.to_stock_dataset(examples, device.batch_size, device.local_epochs),
    )


def device_subject(users_per_pack: int, seed: int) -> Subject:
    """Returns the device tower with its default settings, as many examples as a person may have."""
    device = DeviceSettings()
    vectors = np.random.default_rng(seed).standard_normal((_NUM_ITEMS + 1, _DIM), np.float32)
    vectors[0] = 0
    return Subject(
        name="device",
        settings=FederatedSettings(device=device, rounds=RoundSettings(users_per_pack=users_per_pack)),
        num_examples=device.max_examples,
        fields=example_fields(_DIM, device),
        weight_shapes=device_weight_shapes(_DIM, device),
        draw=lambda own_seed, number: _draw_lists(device, np.random.default_rng([own_seed, number])),
        pack=lambda folder: PackedDeviceTower(write_table(folder / "vectors.bin", vectors), device),
        stock_model=model.model_builder(vectors, device),
        stock_dataset=lambda examples: model.to_dataset(LocalExamples(**examples), device),
    )


def _draw_lists(settings: DeviceSettings, rng: np.random.Generator) -> _Arrays:
    count, width = settings.max_examples, settings.num_candidates
    examples = LocalExamples(
        candidates=rng.integers(1, _NUM_ITEMS + 1, (count, width), np.int32),
        cloud_scores=rng.standard_normal((count, width), np.float32),
        query=rng.standard_normal((count, _DIM), np.float32) / np.float32(8),
        history=rng.integers(0, _NUM_ITEMS + 1, (count, settings.history_length), np.int32),
        target=np.eye(width, dtype=np.float32)[rng.integers(0, width, count)],
    )
    return to_fields(examples)
