"""Federated Submodel Optimization for Hot and Cold Data Features, Ding et al., NeurIPS 2022 (FedSubAvg).

    the server sends w; each device k runs gradient descent over its examples, which moves only the rows of tables that
    these involve: w_k
    w_m <- w_m - rate * N / n_m * sum_k n_k / n (w_m - w_k,m)          for each row m of a table
    w   <- w   - rate *           sum_k n_k / n (w   - w_k)            for all other weights

N is how many people there are, n_m how many of them involve row m (its heat). Federated averaging divides what few
people say of a cold row by everybody, so that it hardly moves; here it moves as far as those want it to.

Deviations: those of `fed_avg`; the mean is weighted by examples. Heats are counted by the server here; devices would
send theirs into a secure sum, and n_m at least 1 is assumed of a row that nobody involves.

It is written as an optimizer around the server's, so that every way to the mean can come before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.training import LocalTraining
from recsys.config.federated import RoundSettings
from recsys.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array


def build_fed_sub_avg(
    training: LocalTraining,
    settings: RoundSettings,
    heats: Mapping[int, Int64Array],
    num_people: int,
    compose: Composer = compose,
) -> tff.learning.templates.LearningProcess:
    """Returns federated averaging that is corrected for how many people involve a row.

    Args:
      training: What a device does.
      settings: Of the server.
      heats: Place of a table among the tower's weights to `[num_rows]` int64 (`count_heat`).
      num_people: Who could take part.
      compose: Puts the parts together; in private rounds with noise.
    """
    plain = tff.learning.optimizers.build_sgdm(settings.server_learning_rate)
    return compose(training, HeatCorrected(plain, {place: correct(heat, num_people) for place, heat in heats.items()}))


def count_heat(involved: Iterable[Int32Array], num_rows: int) -> Int64Array:
    """Returns how many people involve each row, `[num_rows]` int64.

    Args:
      involved: Of each person, any shape: rows that their examples involve.
      num_rows: Of the table.
    """
    heat = np.zeros(num_rows, np.int64)
    for rows in involved:
        heat[np.unique(rows)] += 1
    return heat


def correct(heat: Int64Array | Float64Array, num_people: int) -> Float32Array:
    """Returns what each row's mean update is multiplied with, `[num_rows]` float32."""
    factors: Float32Array = (num_people / np.maximum(heat, 1)).astype(np.float32)
    return factors


class HeatCorrected(tff.learning.optimizers.Optimizer):
    """An optimizer that takes longer steps for rows which few people involve."""

    def __init__(self, inner: tff.learning.optimizers.Optimizer, factors: Mapping[int, Float32Array]) -> None:
        """Keeps both.

        Args:
          inner: Takes the step.
          factors: Place of a table among the weights to `[num_rows]` float32.
        """
        self._inner = inner
        self._factors = factors

    def initialize(self, specs: Any) -> Any:
        """Returns the state before the first step."""
        return self._inner.initialize(specs)

    def next(self, state: Any, weights: Any, gradients: Any) -> tuple[Any, Any]:
        """Returns the state and the weights after a step."""
        flat = [self._scale(place, part) for place, part in enumerate(tf.nest.flatten(gradients))]
        return self._inner.next(state, weights, tf.nest.pack_sequence_as(gradients, flat))

    def _scale(self, place: int, gradient: tf.Tensor) -> tf.Tensor:
        if place not in self._factors:
            return gradient
        factor = tf.constant(self._factors[place])
        return gradient * tf.reshape(factor, [-1] + [1] * (gradient.shape.rank - 1))
