"""The moving average of a model's weights, which validates better than the weights of any one step.

Acceleration of Stochastic Approximation by Averaging, Polyak and Juditsky, SIAM J. Control Optim. 1992. Deviation:
exponential, and over fewer steps at the beginning, so that the initial weights are soon forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


class WeightAverage:
    """Follows the weights of a model."""

    def __init__(self, model: tf.keras.Model, momentum: float) -> None:
        """Starts at the weights as they are.

        Args:
          model: Built.
          momentum: Share of the average that a step keeps; 0 follows the weights at once.
        """
        self._weights = list(model.weights)
        self._averages = [tf.Variable(weight, trainable=False) for weight in self._weights]
        self._momentum = momentum
        self._steps = tf.Variable(0.0, trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """The averages and the count of steps: all that a resumed training needs."""
        return [*self._averages, self._steps]

    def update(self) -> None:
        """Takes in the weights after a step; may be called inside a traced function."""
        keep = tf.minimum(self._momentum, self._steps / (self._steps + 10.0))
        self._steps.assign_add(1.0)
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign(average * keep + weight * (1.0 - keep))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Gives the model its average weights within the block, and its own again after it."""
        own = [weight.numpy() for weight in self._weights]
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average)
        try:
            yield
        finally:
            for weight, value in zip(self._weights, own, strict=True):
                weight.assign(value)
