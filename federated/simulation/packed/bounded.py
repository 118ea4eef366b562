"""Rounds whose bounds move: the server sends them with the weights, and what came back decides the next ones.

Not composed of TFF's four parts, because the bounds pass between all of them: devices, the mean and the next round.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.packed.parts import PEOPLE, get_pack, get_weights, start_from_zeros
from federated.simulation.packed.training import LocalTraining, Tensors


class Treatment(Protocol):
    """What is done to updates between the devices and the mean."""

    def start_bounds(self) -> OrderedDict[str, tf.Tensor]:
        """Returns the bounds of the first round, a scalar each."""
        ...

    def upload(
        self,
        training: LocalTraining,
        weights: Tensors,
        bounds: OrderedDict[str, tf.Tensor],
        first_row: tf.Tensor,
        count: tf.Tensor,
    ) -> OrderedDict[str, Any]:
        """Returns what a pack sends, all of which is added up over packs; arguments as of `LocalTraining.train`.

        `loss` and `num_examples` are among it.
        """
        ...

    def merge(
        self, bounds: OrderedDict[str, tf.Tensor], sums: OrderedDict[str, Any]
    ) -> tuple[Tensors, OrderedDict[str, tf.Tensor]]:
        """Returns the mean update, and the bounds of the next round.

        Args:
          bounds: Of this round.
          sums: Of what packs sent.
        """
        ...


def compose_bounded(
    treatment: Treatment, training: LocalTraining, server_optimizer: tff.learning.optimizers.Optimizer
) -> tff.learning.templates.LearningProcess:
    """Returns the learning process: send weights and bounds, train packs, add, merge, let the server take its step.

    Args:
      treatment: Of the updates.
      training: What each person does.
      server_optimizer: Takes the mean of start minus end for a gradient.
    """
    initial_weights = start_from_zeros(training)
    weights_type = initial_weights.type_signature.result
    finalizer = tff.learning.templates.build_apply_optimizer_finalizer(server_optimizer, weights_type)

    @tff.tensorflow.computation
    def start_bounds() -> Any:
        return treatment.start_bounds()

    bounds_type = start_bounds.type_signature.result
    train = build_bounded_upload(treatment, training, weights_type, bounds_type)
    merge = _build_merge(treatment, bounds_type, train.type_signature.result)

    @tff.federated_computation
    def initialize() -> Any:
        nothing = tff.federated_value((), tff.SERVER)
        weights, bounds = (tff.federated_eval(part, tff.SERVER) for part in (initial_weights, start_bounds))
        state = tff.learning.templates.LearningAlgorithmState(weights, nothing, nothing, bounds, finalizer.initialize())
        return tff.federated_zip(state)

    @tff.federated_computation(initialize.type_signature.result, tff.FederatedType(PEOPLE, tff.CLIENTS))
    def advance(state: Any, people: Any) -> Any:
        sent = (tff.federated_broadcast(part) for part in (state.global_model_weights, state.aggregator))
        sums = tff.federated_sum(tff.federated_map(train, (*sent, people)))
        mean, bounds, measured = tff.federated_map(merge, (state.aggregator, sums))
        stepped = finalizer.next(state.finalizer, state.global_model_weights, mean)
        nothing = tff.federated_value((), tff.SERVER)
        moved = tff.learning.templates.LearningAlgorithmState(stepped.result, nothing, nothing, bounds, stepped.state)
        return tff.learning.templates.LearningProcessOutput(tff.federated_zip(moved), measured)

    return _build_process(initialize, advance, weights_type)


def build_bounded_upload(
    treatment: Treatment, training: LocalTraining, weights_type: tff.Type, bounds_type: tff.Type
) -> tff.Computation:
    """Returns the computation from weights, bounds and people to all that a pack sends.

    Args:
      treatment: Of the updates.
      training: What each person does.
      weights_type: Of the model's weights.
      bounds_type: Of the bounds.
    """

    @tff.tensorflow.computation(weights_type, bounds_type, PEOPLE)
    def train(weights: Any, bounds: Any, people: Any) -> Any:
        pack = get_pack(people)
        return treatment.upload(training, get_weights(weights), bounds, pack["start"], pack["count"])

    return train


def _build_merge(treatment: Treatment, bounds_type: tff.Type, sums_type: tff.Type) -> tff.Computation:
    """The computation from bounds and the sums of a round to the mean, the next bounds and measurements.

    Measured are the mean `loss`, and everything else that is a single number.
    """

    @tff.tensorflow.computation(bounds_type, sums_type)
    def merge(bounds: Any, sums: Any) -> Any:
        mean, moved = treatment.merge(bounds, sums)
        loss = tf.math.divide_no_nan(sums["loss"], tf.cast(sums["num_examples"], tf.float32))
        counts = OrderedDict((name, tf.cast(sums[name], tf.int64)) for name in sums if name.startswith("num_"))
        train = OrderedDict(loss=loss, **counts)
        measured = OrderedDict(client_work=OrderedDict(train=train), aggregator=OrderedDict(bounds))
        return list(mean), moved, measured

    return merge


def _build_process(
    initialize: tff.Computation, advance: tff.Computation, weights_type: tff.Type
) -> tff.learning.templates.LearningProcess:
    state_type = initialize.type_signature.result.member

    @tff.tensorflow.computation(state_type)
    def read(state: Any) -> Any:
        return state.global_model_weights

    @tff.tensorflow.computation(state_type, weights_type)
    def replace(state: Any, weights: Any) -> Any:
        return tff.learning.templates.LearningAlgorithmState(
            weights, state.distributor, state.client_work, state.aggregator, state.finalizer
        )

    return tff.learning.templates.LearningProcess(initialize, advance, read, replace)
