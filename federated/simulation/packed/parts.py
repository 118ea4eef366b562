"""The parts of a TFF learning process over packs: the start, the client work, and the mean of sums."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.packed.training import LocalTraining

PEOPLE: Final = tff.SequenceType(OrderedDict(count=np.int32, start=np.int32))
"""What is sent of a pack (`cohort.to_dataset`)."""

Composer = Callable[[LocalTraining, tff.learning.optimizers.Optimizer], tff.learning.templates.LearningProcess]
"""From what each person does, and the optimizer by which the server takes its step, to a process."""

_ALL: Final = np.iinfo(np.int32).max


def start_from_zeros(training: LocalTraining) -> tff.Computation:
    """Returns the computation of weights that are there to be replaced (`LearningProcess.set_model_weights`).

    Trainable are those that the server has. What is not trainable no round changes: where the weights begin that
    devices have for themselves.
    """

    @tff.tensorflow.computation
    def initial_weights() -> tff.learning.models.ModelWeights:
        shared, local = (
            [tf.zeros(shape, tf.float32) for shape in shapes]
            for shapes in (training.weight_shapes, training.local_shapes)
        )
        return tff.learning.models.ModelWeights(trainable=shared, non_trainable=local)

    return initial_weights


def get_weights(weights: Any) -> list[tf.Tensor]:
    """Returns all weights that are sent to devices, as `LocalTraining` wants them."""
    return [*weights.trainable, *weights.non_trainable]


def get_pack(people: Any) -> Any:
    """Returns the people of a pack side by side: `start` and `count`, `[num_users]` int32 each."""
    return people.batch(_ALL).get_single_element()


def build_upload(training: LocalTraining, weights_type: tff.Type) -> tff.Computation:
    """Returns the computation from weights and people to all that a pack sends: its result, and sums to measure.

    Args:
      training: What each person does.
      weights_type: Of the model's weights.
    """

    @tff.tensorflow.computation(weights_type, PEOPLE)
    def train(weights: Any, people: Any) -> Any:
        pack = get_pack(people)
        result = training.train(get_weights(weights), pack["start"], pack["count"])
        sums = OrderedDict(loss=result.loss, num_clipped=result.num_clipped, num_examples=result.num_examples)
        return tff.learning.templates.ClientResult(result.update, result.weight), sums

    return train


def build_client_work(training: LocalTraining, weights_type: tff.Type) -> tff.learning.templates.ClientWorkProcess:
    """Returns client work whose client is a pack: it sends the sum of its people's weighted updates, and of weights.

    Measures under `train`: the mean `loss` over examples as each was met, `num_examples` and `num_clipped`.

    Args:
      training: What each person does.
      weights_type: Of the model's weights.
    """
    train = build_upload(training, weights_type)

    @tff.tensorflow.computation(train.type_signature.result[1])
    def report(sums: Any) -> Any:
        return OrderedDict(
            train=OrderedDict(
                loss=tf.math.divide_no_nan(sums["loss"], sums["num_examples"]),
                num_clipped=tf.cast(sums["num_clipped"], tf.int64),
                num_examples=tf.cast(sums["num_examples"], tf.int64),
            )
        )

    @tff.federated_computation
    def initialize() -> Any:
        return tff.federated_value((), tff.SERVER)

    @tff.federated_computation(
        initialize.type_signature.result,
        tff.FederatedType(weights_type, tff.CLIENTS),
        tff.FederatedType(PEOPLE, tff.CLIENTS),
    )
    def work(state: Any, weights: Any, people: Any) -> Any:
        result, sums = tff.federated_map(train, (weights, people))
        measured = tff.federated_map(report, tff.federated_sum(sums))
        return tff.templates.MeasuredProcessOutput(state, result, measured)

    return tff.learning.templates.ClientWorkProcess(initialize, work)


class MeanOfSums(tff.aggregators.WeightedAggregationFactory):
    """The weighted mean of people, out of sums over packs: packs have weighted already, here is added and divided.

    `tff.aggregators.MeanFactory` in its place would weight once more.
    """

    weight_type = tff.TensorType(np.float32)

    def divide(self, total: Any, weight: tf.Tensor) -> Any:
        """Returns the mean out of both sums."""
        return tf.nest.map_structure(lambda part: tf.math.divide_no_nan(part, weight), total)

    def create(self, value_type: tff.Type, weight_type: tff.Type) -> tff.templates.AggregationProcess:
        """Returns the process for updates and weights of these types."""

        @tff.federated_computation
        def initialize() -> Any:
            return tff.federated_value((), tff.SERVER)

        @tff.tensorflow.computation(value_type, weight_type)
        def divide(total: Any, weight: Any) -> Any:
            return self.divide(total, weight)

        @tff.federated_computation(
            initialize.type_signature.result,
            tff.FederatedType(value_type, tff.CLIENTS),
            tff.FederatedType(weight_type, tff.CLIENTS),
        )
        def aggregate(state: Any, value: Any, weight: Any) -> Any:
            mean = tff.federated_map(divide, (tff.federated_sum(value), tff.federated_sum(weight)))
            measured = tff.federated_value((), tff.SERVER)
            return tff.templates.MeasuredProcessOutput(state, mean, measured)

        return tff.templates.AggregationProcess(initialize, aggregate)


def compose(
    training: LocalTraining, server_optimizer: tff.learning.optimizers.Optimizer, mean: MeanOfSums | None = None
) -> tff.learning.templates.LearningProcess:
    """Returns the learning process: send the weights, train packs, take the mean, let the server take its step.

    Args:
      training: What each person does.
      server_optimizer: Takes the mean of start minus end for a gradient.
      mean: How it is made of sums; over all people where it is None.
    """
    mean = mean or MeanOfSums()
    initial_weights = start_from_zeros(training)
    weights_type = initial_weights.type_signature.result
    return tff.learning.templates.compose_learning_process(
        initial_weights,
        tff.learning.templates.build_broadcast_process(weights_type),
        build_client_work(training, weights_type),
        mean.create(weights_type.trainable, mean.weight_type),
        tff.learning.templates.build_apply_optimizer_finalizer(server_optimizer, weights_type),
    )
