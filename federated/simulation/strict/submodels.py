"""Packed training of submodels: a person has the rows of tables that their device touches, and the dense part.

What leaves a pack is the sum over its people as a whole table, as it would leave devices under masks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from federated.simulation.packed.training import (
    Course,
    LocalTraining,
    PackResult,
    Tensors,
    add_up,
    align,
    copy_to_each,
    map_column,
)
from recsys.contracts.arrays import Float64Array, Int64Array


@dataclass(frozen=True)
class SubmodelTraining(LocalTraining):
    """How a person trains their submodel; everybody has one example, whose `rows` it is, and counts once.

    Attributes:
      num_tables: The first weights so many are tables, of as many rows.
    """

    num_tables: int = 0

    def train(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor) -> PackResult:
        """Trains everybody of a pack; see `LocalTraining`. The update has whole tables."""
        rows = tf.gather(map_column(self.columns["rows"]), first_row)
        tables, dense = start[: self.num_tables], start[self.num_tables :]
        begin = [*(tf.gather(table, rows) for table in tables), *copy_to_each(dense, count)]
        end, loss = self.descend(begin, start, first_row, count, Course(self.num_epochs, self.learning_rate))
        num_steps = tf.ones(tf.shape(count)) * float(self.num_epochs)
        own = self.discount([one - two for one, two in zip(begin, end, strict=True)], loss, num_steps)
        weight = own.weight / float(self.num_epochs)
        scale, clipped = self._clip(own.update)
        return PackResult(
            update=[
                *(self._lay_out(part, rows, weight * scale, start) for part in own.update[: self.num_tables]),
                *add_up(own.update[self.num_tables :], weight * scale),
            ],
            weight=tf.reduce_sum(weight),
            loss=tf.reduce_sum(own.loss),
            num_examples=tf.reduce_sum(own.num_examples),
            num_clipped=tf.reduce_sum(tf.cast(clipped, tf.float32)),
        )

    def _lay_out(self, part: tf.Tensor, rows: tf.Tensor, weight: tf.Tensor, start: Tensors) -> tf.Tensor:
        """The weighted sum of `[num_users, num_rows, …]` rows where they belong, `[num_items, …]`."""
        weighted = part * align(weight, part)
        flat = tf.reshape(weighted, [-1, *part.shape[2:]])
        return tf.math.unsorted_segment_sum(flat, tf.reshape(rows, [-1]), start[0].shape[0])


def expect_heat(counts: Int64Array, num_people: int, num_negatives: int) -> Float64Array:
    """Returns how many people touch each row, `[num_items]`: who chose the item, and who is likely to draw it.

    It is all that the first secure sum tells of a row's heat; that a stretch holds not all that a person chose is not
    in it.

    Args:
      counts: `[num_items]` int64, how many people chose each item.
      num_people: Who could take part.
      num_negatives: Items that each draws.
    """
    share = min(num_negatives / len(counts), 1.0)
    heat: Float64Array = counts + np.maximum(num_people - counts, 0) * share
    return heat
