"""Local training of many people at once: weights carry the people in front, and so do examples.

What one person's device does is `ClientUpdate` of Communication-Efficient Learning of Deep Networks from Decentralized
Data, McMahan et al., AISTATS 2017: gradient descent over the local examples, batch after batch, a few times over. Here
one step is taken by everybody of a pack. People with fewer examples stand still while others go on; padding has no
weight. Deviation: examples are not shuffled, so that a run can be repeated.

Clipping and weighting are done for each person, before anything is summed: only sums over people leave a pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import tensorflow as tf

from federated.simulation.packed.store import Column

Tensors = Sequence[tf.Tensor]
Amendment = Callable[[Tensors, Tensors, Tensors], Tensors]
"""From weights `[num_users, …]`, the weights of the start `[…]` and gradients `[num_users, …]` to other gradients."""


class PackedTower(Protocol):
    """A model with weights of its own for each person."""

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of the weights of one person."""
        ...

    @property
    def shared(self) -> Mapping[str, Column]:
        """Tables that every person looks things up in, and nobody trains."""
        ...

    def differentiate(
        self, weights: Tensors, batch: Mapping[str, tf.Tensor], shared: Mapping[str, tf.Tensor], present: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors]:
        """Returns each person's mean loss, `[num_users]`, and its gradients, `[num_users, …]` each.

        Args:
          weights: `[num_users, …]` float32 each.
          batch: Fields of examples, `[num_users, batch_size, …]` each.
          shared: The tables of `shared`.
          present: `[num_users, batch_size]` float32, 0 where there is no example; such rows may hold anything finite.
        """
        ...


class OwnResult(NamedTuple):
    """What each person of a pack has made, side by side; nothing of it leaves the pack as it is.

    Attributes:
      update: Start minus end of the weights, `[num_users, …]` float32 each; zeros where it was not finite.
      weight: `[num_users]` float32, in the average.
      loss: `[num_users]` float32, the sum over the examples met.
      num_examples: `[num_users]` float32, of the examples met.
    """

    update: Tensors
    weight: tf.Tensor
    loss: tf.Tensor
    num_examples: tf.Tensor


class PackResult(NamedTuple):
    """Sums over the people of a pack.

    Attributes:
      update: Of start minus end of the weights, each clipped and times its person's weight.
      weight: Of the weights in the average.
      loss: Of the losses of examples, as each was met.
      num_examples: Of the examples met.
      num_clipped: How many updates were longer than allowed.
    """

    update: Tensors
    weight: tf.Tensor
    loss: tf.Tensor
    num_examples: tf.Tensor
    num_clipped: tf.Tensor


def leave(weights: Tensors, start: Tensors, gradients: Tensors) -> Tensors:
    """The amendment that changes nothing."""
    return gradients


@dataclass(frozen=True)
class Course:
    """Some steps of gradient descent.

    Attributes:
      num_epochs: Passes over the batches.
      learning_rate: Of a step.
      first_batch: Where a pass begins, from 0.
      stride: 1 takes every batch from there, 2 every second one.
      fixed: Places of the weights that do not move.
    """

    num_epochs: int
    learning_rate: float
    first_batch: int = 0
    stride: int = 1
    fixed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class LocalTraining:
    """How a person trains.

    Attributes:
      columns: Where the examples lie.
      clip_norm: The longest update that a person may send, over all its weights; 0 is without a bound.
      amend: What is done to gradients before a step.
    """

    tower: PackedTower
    columns: Mapping[str, Column]
    batch_size: int
    num_epochs: int
    learning_rate: float
    clip_norm: float = 0.0
    amend: Amendment = leave

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """Of the weights that the server has, and devices send."""
        return self.tower.weight_shapes

    @property
    def local_shapes(self) -> Sequence[tuple[int, ...]]:
        """Of the weights that devices have for themselves: the server sends where they begin, behind its own."""
        return []

    def train(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor) -> PackResult:
        """Trains everybody of a pack from the same weights; one graph, without eager state.

        Args:
          start: The weights that were sent, `[…]` float32 each.
          first_row: `[num_users]` int32, where each person's rows begin.
          count: `[num_users]` int32, how many there are, at least 1.
        """
        return self.add(self.train_each(start, first_row, count))

    def add(self, own: OwnResult) -> PackResult:
        """Returns the sums over people, each of whom is clipped and weighted first."""
        scale, clipped = self._clip(own.update)
        return PackResult(
            update=add_up(own.update, own.weight * scale),
            weight=tf.reduce_sum(own.weight),
            loss=tf.reduce_sum(own.loss),
            num_examples=tf.reduce_sum(own.num_examples),
            num_clipped=tf.reduce_sum(tf.cast(clipped, tf.float32)),
        )

    def train_alike(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor, clip_norm: tf.Tensor) -> PackResult:
        """Trains everybody of a pack from the same weights; each counts once, however many examples it has.

        So nobody can change a sum of updates by more than the bound. `rounds.clip_norm` has no part in it.

        Args:
          start: This and the next two as of `train`.
          first_row: As above.
          count: As above.
          clip_norm: The longest update that a person may send, a float32 scalar.
        """
        own = self.train_each(start, first_row, count)
        scale, clipped = clip_to(own.update, clip_norm)
        return PackResult(
            update=add_up(own.update, scale),
            weight=tf.cast(tf.shape(count)[0], tf.float32),
            loss=tf.reduce_sum(own.loss),
            num_examples=tf.reduce_sum(own.num_examples),
            num_clipped=tf.reduce_sum(tf.cast(clipped, tf.float32)),
        )

    def train_each(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor) -> OwnResult:
        """Returns what each person has made of the same weights; arguments as of `train`."""
        course = Course(self.num_epochs, self.learning_rate)
        weights, loss = self.descend(copy_to_each(start, count), start, first_row, count, course)
        update = [begin[None] - end for begin, end in zip(start, weights, strict=True)]
        num_examples = tf.cast(count, tf.float32) * float(self.num_epochs)
        return self.discount(update, loss, num_examples)

    def discount(self, update: Tensors, loss: tf.Tensor, num_examples: tf.Tensor) -> OwnResult:
        """Lets updates that are not finite count for nothing, as TFF does; arguments as of `OwnResult`."""
        finite = tf.reduce_all([per_user(tf.reduce_all, tf.math.is_finite(part)) for part in update], axis=0)
        return OwnResult(
            update=[tf.where(align(finite, part), part, 0.0) for part in update],
            weight=tf.where(finite, num_examples, 0.0),
            loss=loss,
            num_examples=num_examples,
        )

    def descend(
        self, weights: Tensors, start: Tensors, first_row: tf.Tensor, count: tf.Tensor, course: Course
    ) -> tuple[Tensors, tf.Tensor]:
        """Returns everybody's weights at the end, `[num_users, …]` each, and the summed losses, `[num_users]`.

        Args:
          weights: At the beginning, `[num_users, …]` float32 each.
          start: The weights that `amend` is told of, `[…]` float32 each.
          first_row: This and the next as of `train`.
          count: As above.
          course: The steps to take.
        """
        tables = {name: map_column(column) for name, column in self.columns.items()}
        shared = {name: map_column(column) for name, column in self.tower.shared.items()}
        num_batches = (tf.reduce_max(count) + self.batch_size - 1) // self.batch_size
        steps_per_epoch = (num_batches - course.first_batch + course.stride - 1) // course.stride

        def step(number: tf.Tensor, total: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
            batch_number = course.first_batch + course.stride * (number % steps_per_epoch)
            place = batch_number * self.batch_size + tf.range(self.batch_size)
            rows = first_row[:, None] + tf.minimum(place, count[:, None] - 1)
            present = tf.cast(place < count[:, None], tf.float32)
            batch = {name: tf.gather(table, rows) for name, table in tables.items()}
            loss, gradients = self.tower.differentiate(weights, batch, shared, present)
            rate = course.learning_rate * present[:, 0]  # nothing moves where no example is left, whatever is amended
            moved = (
                weight if index in course.fixed else weight - align(rate, weight) * gradient
                for index, (weight, gradient) in enumerate(
                    zip(weights, self.amend(weights, start, gradients), strict=True)
                )
            )
            return number + 1, total + loss * tf.reduce_sum(present, axis=1), *moved

        first = (tf.constant(0), tf.zeros(tf.shape(count)), *weights)
        num_steps = steps_per_epoch * course.num_epochs
        _, loss, *moved = tf.while_loop(lambda number, *_: number < num_steps, step, first)
        return moved, loss

    def _clip(self, update: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what each person's update is multiplied with, and whether that is less than 1."""
        if not self.clip_norm:
            num_users = tf.shape(update[0])[0]
            return tf.ones([num_users]), tf.zeros([num_users], tf.bool)
        return clip_to(update, self.clip_norm)


def copy_to_each(weights: Tensors, count: tf.Tensor) -> list[tf.Tensor]:
    """Returns weights once for each of `[num_users]` people, `[num_users, …]` each."""
    return [tf.tile(weight[None], [tf.shape(count)[0]] + [1] * weight.shape.rank) for weight in weights]


def clip_to(update: Tensors, clip_norm: float | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what each person's update is to be multiplied with to be no longer than allowed, and whether it was.

    Args:
      update: `[num_users, …]` float32 each.
      clip_norm: The longest, over all weights together.
    """
    norm = tf.sqrt(tf.add_n([per_user(tf.reduce_sum, tf.square(part)) for part in update]))
    return clip_norm / tf.maximum(norm, clip_norm), norm > clip_norm


def add_up(update: Tensors, weight: tf.Tensor) -> list[tf.Tensor]:
    """Returns the weighted sum over people of `[num_users, …]` each; weights are `[num_users]` of the same type."""
    return [tf.tensordot(weight, part, axes=1) for part in update]


def map_column(column: Column) -> tf.Tensor:
    """Returns a column as a tensor that lies in the file: only pages that are read are fetched."""
    return tf.raw_ops.ImmutableConst(
        dtype=tf.as_dtype(column.dtype), shape=column.shape, memory_region_name=str(column.path)
    )


def mean_per_user(losses: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """Returns the mean of `[num_users, batch_size]` losses over what is present, 0 where nothing is."""
    return tf.reduce_sum(losses * present, axis=1) / tf.maximum(tf.reduce_sum(present, axis=1), 1.0)


def align(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Gives `[num_users]` as many axes as a tensor with the people in front has."""
    return tf.reshape(values, [-1] + [1] * (like.shape.rank - 1))


def per_user(reduce: Callable[..., tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    """Reduces all axes but the people's."""
    return reduce(values, axis=list(range(1, values.shape.rank)))
