"""HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous Clients, ICLR 2021.

By Diao, Ding and Tarokh.

    the server sends each device k the block of w that its size has: w_b(k)
    each device runs gradient descent over its examples: w_k
    w_i <- w_i - rate * sum n_k (w_i - w_k,i) / sum n_k        over the devices whose block has weight i

A weight that nobody of a round has stays where it is. It goes with any algorithm whose devices train all that they
have.

Deviations: those of `fed_avg` and of `recsys.models.sub_block`; the mean is weighted by examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from federated.simulation.packed.parts import Composer, MeanOfSums, compose
from federated.simulation.packed.sub_block import SubBlockTower, SubBlockTraining
from federated.simulation.packed.training import LocalTraining
from recsys.contracts.arrays import Float32Array


def train_blocks(training: LocalTraining, masks: Sequence[Float32Array]) -> SubBlockTraining:
    """Returns the training of people of several sizes.

    Args:
      training: Of the whole tower; its columns hold everybody's size.
      masks: As of `SubBlockTower`.
    """
    given = {one.name: getattr(training, one.name) for one in fields(LocalTraining)}
    given["tower"] = SubBlockTower(training.tower, masks)
    return SubBlockTraining(**given, num_sizes=len(masks[0]))


def compose_blocks(masks: Sequence[Float32Array]) -> Composer:
    """Returns what puts the parts of an algorithm together so that each weight is averaged over those who have it."""

    def composer(
        training: LocalTraining, server_optimizer: tff.learning.optimizers.Optimizer
    ) -> tff.learning.templates.LearningProcess:
        return compose(training, server_optimizer, MeanOfThoseWhoHave(masks))

    return composer


class MeanOfThoseWhoHave(MeanOfSums):
    """The weighted mean of each weight over the people whose block has it."""

    def __init__(self, masks: Sequence[Float32Array]) -> None:
        """Keeps who has what.

        Args:
          masks: Of each weight `[num_sizes, …]` float32.
        """
        self._masks = masks
        self.weight_type = tff.TensorType(np.float32, [len(masks[0])])

    def divide(self, total: Any, weight: tf.Tensor) -> Any:
        """Returns the mean; `weight` is `[num_sizes]`, of the people of each size."""
        parts = [
            tf.math.divide_no_nan(part, tf.tensordot(weight, tf.constant(mask), axes=1))
            for part, mask in zip(tf.nest.flatten(total), self._masks, strict=True)
        ]
        return tf.nest.pack_sequence_as(total, parts)
