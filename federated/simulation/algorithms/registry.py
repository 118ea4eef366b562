"""The algorithms by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import tensorflow_federated as tff

from federated.simulation.algorithms.adaptive import build_fed_adagrad, build_fed_adam, build_fed_yogi
from federated.simulation.algorithms.fed_avg import build_fed_avg
from federated.simulation.algorithms.fed_prox import build_fed_prox
from federated.simulation.algorithms.fed_recon import build_fed_recon
from federated.simulation.algorithms.hetero_fl import compose_blocks, train_blocks
from federated.simulation.packed.bounded import Treatment, compose_bounded
from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.store import Column
from federated.simulation.packed.training import LocalTraining, PackedTower
from federated.simulation.views import find_local
from recsys.config.federated import Algorithm, FederatedSettings, RoundSettings
from recsys.contracts.arrays import Float32Array

Builder = Callable[[LocalTraining, RoundSettings, Composer], tff.learning.templates.LearningProcess]

ALGORITHMS: Final[Mapping[Algorithm, Builder]] = {
    "fed_avg": build_fed_avg,
    "fed_prox": build_fed_prox,
    "fed_adagrad": build_fed_adagrad,
    "fed_adam": build_fed_adam,
    "fed_yogi": build_fed_yogi,
    "fed_recon": build_fed_recon,
}


def build_process(
    tower: PackedTower,
    columns: Mapping[str, Column],
    settings: FederatedSettings,
    treatment: Treatment | None = None,
    masks: Sequence[Float32Array] | None = None,
) -> tff.learning.templates.LearningProcess:
    """Returns the process of the algorithm that the settings name; a client of it is a pack of people.

    Running it needs an execution context (`execution.execute_on`) on a machine that sees the files of the columns.

    Args:
      tower: What is trained.
      columns: Everybody's examples.
      settings: Of local training and the rounds.
      treatment: Of updates, where they are not merely averaged: by noise (`packed.private`) or bounds
        (`packed.robust`).
      masks: Where people have towers of several sizes, as of `SubBlockTower`; nothing is done to their updates then.
    """
    training = build_training(tower, columns, settings)
    if masks is not None:
        blocks = train_blocks(training, masks)
        return ALGORITHMS[settings.rounds.algorithm](blocks, settings.rounds, compose_blocks(masks))
    return compose_algorithm(training, settings, treatment)


def compose_algorithm(
    training: LocalTraining, settings: FederatedSettings, treatment: Treatment | None = None
) -> tff.learning.templates.LearningProcess:
    """Returns the same for a training that was built already; further arguments as of `build_process`."""
    composer = partial(compose_bounded, treatment) if treatment else compose
    return ALGORITHMS[settings.rounds.algorithm](training, settings.rounds, composer)


def build_training(tower: PackedTower, columns: Mapping[str, Column], settings: FederatedSettings) -> LocalTraining:
    """Returns what a device does in a round, before an algorithm adds to it; arguments as of `build_process`."""
    return LocalTraining(
        tower,
        columns,
        batch_size=settings.device.batch_size,
        num_epochs=settings.device.local_epochs,
        learning_rate=settings.device.learning_rate,
        clip_norm=settings.rounds.clip_norm,
    )


def local_weights(algorithm: Algorithm, num_weights: int) -> frozenset[int]:
    """Returns the places of the device tower's weights that an algorithm leaves to each device."""
    return find_local("partially_local" if algorithm == "fed_recon" else "global", num_weights)
