"""The same algorithms as TFF itself builds them, one client a person: what packed rounds are compared with.

Nothing else uses them; TFF spends some 10 to 20 ms on each client, whatever it computes.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow_federated as tff

from federated.simulation.algorithms.adaptive import adagrad, adam, yogi
from recsys.config.federated import FederatedSettings, RoundSettings


def build_stock_process(
    model: Callable[[], tff.learning.models.VariableModel], settings: FederatedSettings
) -> tff.learning.templates.LearningProcess:
    """Returns TFF's own process of the algorithm that the settings name; a client of it is a person's dataset.

    Call it before making Keras models that are to be used afterwards: TFF builds its model in a graph of TensorFlow 1,
    for which Keras turns the classes of all existing layers into those of that time, until a new one is made.

    Args:
      model: Builds the model (`model.model_builder`).
      settings: Of local training and the rounds.
    """
    rounds = settings.rounds
    mean = tff.aggregators.MeanFactory()
    options = {
        "client_optimizer_fn": tff.learning.optimizers.build_sgdm(settings.device.learning_rate),
        "server_optimizer_fn": _server_optimizer(rounds),
        "model_aggregator": tff.aggregators.clipping_factory(rounds.clip_norm, mean) if rounds.clip_norm else mean,
        # Reducing over the dataset instantiates and optimises the training step anew for every client: 70 ms each.
        # A loop over its iterator is part of the graph: 8 ms, and the same result.
        "loop_implementation": tff.learning.LoopImplementation.DATASET_ITERATOR,
    }
    if rounds.algorithm == "fed_prox":
        return tff.learning.algorithms.build_weighted_fed_prox(model, rounds.proximal_strength, **options)
    return tff.learning.algorithms.build_weighted_fed_avg(model, **options)


def _server_optimizer(rounds: RoundSettings) -> tff.learning.optimizers.Optimizer:
    adaptive = {"fed_adagrad": adagrad, "fed_adam": adam, "fed_yogi": yogi}
    if rounds.algorithm in adaptive:
        return adaptive[rounds.algorithm](rounds)
    return tff.learning.optimizers.build_sgdm(rounds.server_learning_rate)
