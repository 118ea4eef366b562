"""People who work against all others: what an attack does to a round, and what a robust mean leaves of it.

A poisoner trains as everybody does and sends the reverse, many times over (the sign-flipping attack of Byzantine
machine learning; RSA: Byzantine-Robust Stochastic Aggregation Methods, Li et al., AAAI 2019). Only measurements use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import tensorflow as tf

from federated.simulation.packed.store import Extent
from federated.simulation.packed.training import LocalTraining, OwnResult, Tensors, align


@dataclass(frozen=True)
class Poisoned(LocalTraining):
    """Local training with some poisoners.

    Attributes:
      first_rows: By where their examples begin.
      factor: How many times over they send the reverse of their updates.
    """

    first_rows: tuple[int, ...] = field(kw_only=True)
    factor: float = field(kw_only=True)

    def train_each(self, start: Tensors, first_row: tf.Tensor, count: tf.Tensor) -> OwnResult:
        """Returns what each person sends; arguments as of `LocalTraining.train`."""
        own = super().train_each(start, first_row, count)
        is_poisoner = tf.reduce_any(tf.equal(first_row[:, None], tf.constant(self.first_rows, tf.int32)), axis=1)
        sent = tf.where(is_poisoner, -self.factor, 1.0)
        return own._replace(update=[part * align(sent, part) for part in own.update])


def poison(training: LocalTraining, poisoners: Iterable[Extent], factor: float) -> Poisoned:
    """Returns the training with some people turned into poisoners.

    Args:
      training: Of everybody.
      poisoners: Their examples.
      factor: As of `Poisoned`.
    """
    given = {one.name: getattr(training, one.name) for one in fields(LocalTraining)}
    return Poisoned(**given, first_rows=tuple(one.start for one in poisoners if one.count), factor=factor)
