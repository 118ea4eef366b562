"""The same algorithms as TFF itself builds them, one client a person: what packed rounds are compared with.

Nothing else uses them; TFF spends some 10 to 20 ms on each client, whatever it computes.

FedProx is TFF's federated averaging over a proximal optimizer, because the proximal term of TFF 0.87's own
`build_weighted_fed_prox` has the wrong sign (`strength * (start - weights)` is added to the gradients): it drives
devices away from the model that was sent. A test holds that against the packed one with a negative strength.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.algorithms.adaptive import adagrad, adam, yogi
from federated.simulation.model import ListwiseLoss
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
    options = {
        "client_optimizer_fn": _client_optimizer(settings),
        "server_optimizer_fn": _server_optimizer(rounds),
        "model_aggregator": _aggregator(rounds),
        # Reducing over the dataset instantiates and optimises the training step anew for every client: 70 ms each.
        # A loop over its iterator is part of the graph: 8 ms, and the same result.
        "loop_implementation": tff.learning.LoopImplementation.DATASET_ITERATOR,
    }
    return tff.learning.algorithms.build_weighted_fed_avg(model, **options)


def build_stock_reconstruction(
    model: Callable[[], tff.learning.models.ReconstructionModel], settings: FederatedSettings
) -> tff.learning.templates.LearningProcess:
    """Returns TFF's own federated reconstruction; a client of it is a person's batches, once.

    Args:
      model: Builds the model (`model.view_builder`).
      settings: Of local training and the rounds.
    """
    device, rounds = settings.device, settings.rounds
    return tff.learning.algorithms.build_fed_recon(
        model,
        loss_fn=ListwiseLoss,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(device.learning_rate),
        reconstruction_optimizer_fn=tff.learning.optimizers.build_sgdm(rounds.reconstruction_rate),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(rounds.server_learning_rate),
        model_aggregator_factory=_aggregator(rounds),
        dataset_split_fn=tff.learning.models.ReconstructionModel.build_dataset_split_fn(
            recon_epochs=rounds.reconstruction_epochs, post_recon_epochs=device.local_epochs, split_dataset=True
        ),
    )


class HeldDescent(tff.learning.optimizers.Optimizer):
    """Gradient descent on a loss plus `strength / 2 |weights - start|^2`, where start is what it met first."""

    def __init__(self, learning_rate: float, strength: float) -> None:
        """Keeps both."""
        self._learning_rate = learning_rate
        self._strength = strength

    def initialize(self, specs: Any) -> Any:
        """Returns the state before the first step."""
        zeros = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), specs)
        return OrderedDict(step=tf.constant(0), start=zeros)

    def next(self, state: Any, weights: Any, gradients: Any) -> tuple[Any, Any]:
        """Returns the state and the weights after a step."""
        is_first = tf.equal(state["step"], 0)
        start = tf.nest.map_structure(lambda now, then: tf.where(is_first, now, then), weights, state["start"])

        def move(weight: tf.Tensor, begin: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
            return weight - self._learning_rate * (gradient + self._strength * (weight - begin))

        moved = tf.nest.map_structure(move, weights, start, gradients)
        return OrderedDict(step=state["step"] + 1, start=start), moved


def _aggregator(rounds: RoundSettings) -> tff.aggregators.WeightedAggregationFactory:
    mean = tff.aggregators.MeanFactory()
    return tff.aggregators.clipping_factory(rounds.clip_norm, mean) if rounds.clip_norm else mean


def _client_optimizer(settings: FederatedSettings) -> tff.learning.optimizers.Optimizer:
    if settings.rounds.algorithm == "fed_prox":
        return HeldDescent(settings.device.learning_rate, settings.rounds.proximal_strength)
    return tff.learning.optimizers.build_sgdm(settings.device.learning_rate)


def _server_optimizer(rounds: RoundSettings) -> tff.learning.optimizers.Optimizer:
    adaptive = {"fed_adagrad": adagrad, "fed_adam": adam, "fed_yogi": yogi}
    if rounds.algorithm in adaptive:
        return adaptive[rounds.algorithm](rounds)
    return tff.learning.optimizers.build_sgdm(rounds.server_learning_rate)
