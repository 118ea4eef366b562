"""Rounds over choices that are given: out of lists of another kind than those which the cloud proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from federated.device.examples import Choice
from federated.simulation.algorithms.registry import build_process
from federated.simulation.checkpoint import RoundMetrics, RunFolder
from federated.simulation.clients import GivenChoices
from federated.simulation.cohort import hold_out
from federated.simulation.hosts import execute_by
from federated.simulation.packed.device_tower import PackedDeviceTower, example_fields, to_fields
from federated.simulation.packed.robust import build_treatment
from federated.simulation.packed.store import hold_store, write_table
from federated.simulation.rounds import Federation
from federated.simulation.rows import train_rows
from federated.simulation.validation import Validation
from recsys.config.federated import FederatedSettings
from recsys.contracts.arrays import Float32Array
from recsys.models.device_tower import build_device_tower
from recsys.progress import Progress


def train_on_choices(
    choices: Mapping[str, Sequence[Choice]],
    vectors: Float32Array,
    settings: FederatedSettings,
    folder: Path,
    seed: int,
    progress: Progress,
) -> tuple[tf.keras.Model, tuple[RoundMetrics, ...]]:
    """Trains a new device tower in rounds; returns it with the metrics of the rounds.

    As in `program`, some people (`rounds.validation_users`) take part in no round: they judge each.

    Args:
      choices: Of each person, oldest first; at least one of each, and two people.
      vectors: `[num_items + 1, dim]` float32, row 0 zero.
      settings: Of the device and the rounds; of privacy nothing is read.
      folder: For examples, which are gone afterwards, and the states of rounds.
      seed: Of cohorts and of the candidates in examples.
      progress: Told after every round.

    Raises:
      ConfigError: If a worker of `workers.addresses` does not answer or does not see the folder.
      FederationError: If the worker does not start or dies.
      WorkspaceError: If the disk is full.
    """
    device, rounds, dim = settings.device, settings.rounds, vectors.shape[1]
    held_out = hold_out(choices, rounds.validation_users)
    people = sorted(set(choices) - set(held_out))
    validation = Validation.from_choices([choices[user_id] for user_id in held_out], vectors, device)
    clients = GivenChoices(choices, dim, device, seed)
    num_rows = sum(min(len(choices[user_id]), device.max_examples) for user_id in people)
    tower = build_device_tower(dim, device)
    examples = folder / "examples"
    with hold_store(examples, example_fields(dim, device), num_rows) as store:
        table = write_table(examples / "vectors.bin", vectors)
        process = build_process(
            PackedDeviceTower(table, device), store.columns, settings, build_treatment(settings, seed)
        )
        federation = Federation(process, settings, seed, people, clients, store, validation, RunFolder(folder))
        execution = execute_by(settings, examples, folder / "worker.log", progress)
        return tower, federation.run(tower, execution, progress)


def train_rows_on_choices(
    choices: Mapping[str, Sequence[Choice]],
    vectors: Float32Array,
    settings: FederatedSettings,
    folder: Path,
    seed: int,
    progress: Progress,
) -> tuple[tf.keras.Model, Float32Array]:
    """Trains a new device tower and a bias of each item, with the correction of their heat (`rows`).

    Nobody judges these rounds, and everybody takes part.

    Args:
      choices: As of `train_on_choices`.
      vectors: As above.
      settings: As above; of algorithms it is FedSubAvg.
      folder: For examples, which are gone afterwards.
      seed: Of cohorts and of the candidates in examples.
      progress: Told of workers that are lost.

    Returns:
      The tower, and `[num_items + 1]` float32, to be added to its scores.

    Raises:
      ConfigError: As `train_on_choices` raises it.
      FederationError: If the worker does not start or dies.
      WorkspaceError: If the disk is full.
    """
    device, dim = settings.device, vectors.shape[1]
    num_rows = sum(min(len(own), device.max_examples) for own in choices.values())
    tower = build_device_tower(dim, device)
    examples = folder / "examples"
    with hold_store(examples, example_fields(dim, device), num_rows) as store:
        table = write_table(examples / "vectors.bin", vectors)
        built = GivenChoices(choices, dim, device, seed).build(sorted(choices))
        extents = {user_id: store.add(user_id, to_fields(own)) for user_id, own in built}
        execution = execute_by(settings, examples, folder / "worker.log", progress)
        return tower, train_rows(tower, table, store, extents, settings, execution, seed, is_heated=True)
