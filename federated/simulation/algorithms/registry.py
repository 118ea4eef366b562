"""The algorithms by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import tensorflow_federated as tff

from federated.simulation.algorithms.adaptive import build_fed_adagrad, build_fed_adam, build_fed_yogi
from federated.simulation.algorithms.fed_avg import build_fed_avg
from federated.simulation.algorithms.fed_prox import build_fed_prox
from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.private import Mechanism, compose_private
from federated.simulation.packed.store import Column
from federated.simulation.packed.training import LocalTraining, PackedTower
from recsys.config.federated import Algorithm, FederatedSettings, RoundSettings

Builder = Callable[[LocalTraining, RoundSettings, Composer], tff.learning.templates.LearningProcess]

ALGORITHMS: Final[Mapping[Algorithm, Builder]] = {
    "fed_avg": build_fed_avg,
    "fed_prox": build_fed_prox,
    "fed_adagrad": build_fed_adagrad,
    "fed_adam": build_fed_adam,
    "fed_yogi": build_fed_yogi,
}


def build_process(
    tower: PackedTower, columns: Mapping[str, Column], settings: FederatedSettings, mechanism: Mechanism | None = None
) -> tff.learning.templates.LearningProcess:
    """Returns the process of the algorithm that the settings name; a client of it is a pack of people.

    Running it needs an execution context (`execution.execute_on`) on a machine that sees the files of the columns.

    Args:
      tower: What is trained.
      columns: Everybody's examples.
      settings: Of local training and the rounds.
      mechanism: How rounds are kept private; they are not where it is None.
    """
    training = LocalTraining(
        tower,
        columns,
        batch_size=settings.device.batch_size,
        num_epochs=settings.device.local_epochs,
        learning_rate=settings.device.learning_rate,
        clip_norm=settings.rounds.clip_norm,
    )
    composer = partial(compose_private, mechanism) if mechanism else compose
    return ALGORITHMS[settings.rounds.algorithm](training, settings.rounds, composer)
