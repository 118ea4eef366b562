"""Local training of which some weights never leave the device, and are made anew whenever they are needed.

Each person's batches are dealt out alternately: from the even ones the device reconstructs its own weights while those
of the server stand still, on the odd ones it trains the server's while its own stand still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import tensorflow as tf

from federated.simulation.packed.training import Course, LocalTraining, OwnResult, Tensors, copy_to_each
from federated.simulation.views import join_weights, split_weights


@dataclass(frozen=True)
class Reconstruction(LocalTraining):
    """How a person trains with weights of their own.

    Attributes:
      local: Places of these among the tower's.
      reconstruction_epochs: Passes over the batches that they are made from.
      reconstruction_rate: Of gradient descent on them.
    """

    local: frozenset[int] = field(kw_only=True)
    reconstruction_epochs: int = field(kw_only=True)
    reconstruction_rate: float = field(kw_only=True)

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """Of the weights that the server has."""
        return split_weights(self.tower.weight_shapes, self.local)[0]

    @property
    def local_shapes(self) -> Sequence[tuple[int, ...]]:
        """Of the others."""
        return split_weights(self.tower.weight_shapes, self.local)[1]

    def reconstruct(
        self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor, every_batch: bool = False
    ) -> list[tf.Tensor]:
        """Returns all weights of each person, their own made from their examples, `[num_users, …]` float32 each.

        Args:
          start: The server's weights and where the others begin, in this order, `[…]` float32 each.
          first_row: This and the next as of `train`.
          count: As above.
          every_batch: Whether all examples serve for it, as on a device that trains nothing else.
        """
        whole = join_weights(start, self.local)
        others = frozenset(range(len(whole))) - self.local
        stride = 1 if every_batch else 2
        course = Course(self.reconstruction_epochs, self.reconstruction_rate, stride=stride, fixed=others)
        weights, _ = self.descend(copy_to_each(whole, count), whole, first_row, count, course)
        return list(weights)

    def train_each(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor) -> OwnResult:
        """Returns what each person has made of the server's weights; arguments as of `reconstruct`."""
        whole = join_weights(start, self.local)
        own = self.reconstruct(start, first_row, count)
        course = Course(self.num_epochs, self.learning_rate, first_batch=1, stride=2, fixed=self.local)
        weights, loss = self.descend(own, whole, first_row, count, course)
        trained, _ = split_weights(weights, self.local)
        shared, _ = split_weights(whole, self.local)
        update = [begin[None] - end for begin, end in zip(shared, trained, strict=True)]
        return self.discount(update, loss, self._count_trained(count))

    def _count_trained(self, count: tf.Tensor) -> tf.Tensor:
        """Returns how many examples of each person are met in odd batches, over all epochs, `[num_users]` float32."""
        full, rest = count // self.batch_size, count % self.batch_size
        trained = (full // 2) * self.batch_size + (full % 2) * rest
        return tf.cast(trained, tf.float32) * float(self.num_epochs)
