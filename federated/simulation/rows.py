"""Rounds of the tower with a bias of each item beside it: a table whose rows few people involve."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.algorithms.fed_sub_avg import build_fed_sub_avg, count_heat
from federated.simulation.algorithms.registry import build_training
from federated.simulation.cohort import sample_cohort
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.device_tower import PackedDeviceTower
from federated.simulation.packed.store import Column, ExampleStore, Extent, read_column
from federated.simulation.views import restore
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float32Array


def train_rows(
    tower: tf.keras.Model,
    table: Column,
    store: ExampleStore,
    extents: Mapping[str, Extent],
    settings: FederatedSettings,
    execution: AbstractContextManager[None],
    seed: int,
    *,
    is_heated: bool,
) -> Float32Array:
    """Trains a tower in rounds, and returns the bias of each item that was trained with it, `[num_items + 1]` float32.

    Args:
      tower: Holds the weights to start from; at the end those of the last round.
      table: The vectors of items.
      store: Holds everybody's examples.
      extents: Of those who can take part.
      settings: Of the device and the rounds.
      execution: In whose block TFF computes; its errors come through.
      seed: Of cohorts.
      is_heated: Whether rows are corrected for how many people involve them (`algorithms.fed_sub_avg`).

    Raises:
      FederationError: If the workers die.
    """
    rounds, num_rows = settings.rounds, table.shape[0]
    packed = PackedDeviceTower(table, settings.device, has_item_bias=True)
    candidates = read_column(store.columns["candidates"])
    heat = count_heat((candidates[one.start : one.start + one.count] for one in extents.values()), num_rows)
    heats = {len(packed.weight_shapes) - 1: heat} if is_heated else {}
    process = build_fed_sub_avg(build_training(packed, store.columns, settings), rounds, heats, len(extents))
    start = [*(weight.numpy() for weight in tower.trainable_weights), np.zeros(num_rows, np.float32)]
    given = tff.learning.models.ModelWeights(trainable=start, non_trainable=[])
    with execution:
        state = process.set_model_weights(process.initialize(), given)
        for number in range(1, rounds.num_rounds + 1):
            cohort = sample_cohort(extents, rounds.clients_per_round, seed, number)
            packs = cut_cohort({one: extents[one] for one in cohort}, rounds.users_per_pack)
            state = process.next(state, [to_dataset(pack) for pack in packs]).state
        *weights, item_bias = (np.asarray(weight) for weight in process.get_model_weights(state).trainable)
    restore(tower, weights)
    return item_bias
