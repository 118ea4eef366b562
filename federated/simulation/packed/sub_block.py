"""People with towers of several sizes in one pack: each trains the leading block of the weights that its size has.

All carry whole weights. Those outside of a person's block count as zero while it scores, and their gradient is zero, so
that a block trains exactly as a tower of that size does (`recsys.models.sub_block`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import tensorflow as tf

from federated.simulation.packed.store import Column
from federated.simulation.packed.training import LocalTraining, PackedTower, PackResult, Tensors, map_column
from recsys.contracts.arrays import Float32Array

SIZE: Final = "size"
"""Field of an example: the place of its person's size among all sizes. The same in all examples of a person."""

SIZE_FIELD: Final = {SIZE: (np.int32, ())}


def size_of_examples(size: int, count: int) -> dict[str, np.ndarray]:
    """Returns the field of a person's examples."""
    return {SIZE: np.full(count, size, np.int32)}


@dataclass(frozen=True)
class SubBlockTower:
    """A tower of which each person has a block.

    Attributes:
      whole: The tower.
      masks: Of each weight `[num_sizes, …]` float32, 1 within the block of a size and else 0.
    """

    whole: PackedTower
    masks: Sequence[Float32Array]

    @property
    def weight_shapes(self) -> Sequence[tuple[int, ...]]:
        """Of the whole tower."""
        return self.whole.weight_shapes

    @property
    def shared(self) -> Mapping[str, Column]:
        """As of the whole tower."""
        return self.whole.shared

    def differentiate(
        self, weights: Tensors, batch: Mapping[str, tf.Tensor], shared: Mapping[str, tf.Tensor], present: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors]:
        """Returns losses and gradients; see `PackedTower`."""
        masks = [tf.gather(tf.constant(mask), batch[SIZE][:, 0]) for mask in self.masks]
        fields = {name: values for name, values in batch.items() if name != SIZE}
        blocks = [weight * mask for weight, mask in zip(weights, masks, strict=True)]
        loss, gradients = self.whole.differentiate(blocks, fields, shared, present)
        return loss, [gradient * mask for gradient, mask in zip(gradients, masks, strict=True)]


@dataclass(frozen=True)
class SubBlockTraining(LocalTraining):
    """How people of several sizes train: their weights in the average are added up apart.

    Attributes:
      num_sizes: How many sizes there are.
    """

    num_sizes: int = field(kw_only=True)

    def train(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor) -> PackResult:
        """Returns what `LocalTraining.train` does, `weight` being `[num_sizes]` float32."""
        own = self.train_each(start, first_row, count)
        result = self.add(own)
        sizes = tf.gather(map_column(self.columns[SIZE]), first_row)
        return result._replace(weight=tf.math.unsorted_segment_sum(own.weight, sizes, self.num_sizes))
