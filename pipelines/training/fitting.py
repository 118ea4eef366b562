"""The loop that fits a model: epochs, validation, early stopping, a clock, and the best weights at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from pipelines.training.averaging import WeightAverage
from recsys.errors import TrainingError
from recsys.progress import Progress


@dataclass(frozen=True)
class Limits:
    """When to stop, and what is judged.

    Attributes:
      max_epochs: stops after so many epochs,
      patience: after so many without a gain,
      max_seconds: or after so long.
      momentum: of the average of the weights that is judged and kept; 0 judges the weights of the last step.
    """

    max_epochs: int
    patience: int
    max_seconds: float
    momentum: float = 0.0


@dataclass(frozen=True)
class FitReport:
    """What a fit came to.

    Attributes:
      best_value: the validation value of the weights that were kept.
      best_epoch: the epoch after which they stood; 0 is before training.
      num_epochs: epochs begun.
      seconds: time taken.
    """

    best_value: float
    best_epoch: int
    num_epochs: int
    seconds: float


def fit(
    model: tfrs.Model,
    epoch_batches: Callable[[int], Iterable[Mapping[str, Any]]],
    signature: Mapping[str, tf.TensorSpec],
    validate: Callable[[], float],
    limits: Limits,
    progress: Progress,
) -> FitReport:
    """Trains a compiled model and leaves it with the (averaged) weights that validated best, the initial ones included.

    Args:
      model: Compiled; its `compute_loss` reads a batch.
      epoch_batches: Epoch number (from 1) to the batches of that epoch.
      signature: Shape and dtype of each entry of a batch; unknown lengths are None.
      validate: Returns the value to raise; called before the first and after each epoch.
      limits: When to stop.
      progress: Told the loss and the validation value of each epoch.

    Raises:
      TrainingError: If the loss is no finite number, or an epoch has no batch.
    """
    average = WeightAverage(model, limits.momentum)

    def train_step(batch: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        figures = model.train_step(batch)
        average.update()
        return figures

    step = tf.function(train_step, input_signature=[dict(signature)])
    started = time.monotonic()
    best_value, best_epoch, best_weights = validate(), 0, model.get_weights()
    epoch = 0
    while epoch < limits.max_epochs and epoch - best_epoch < limits.patience:
        epoch += 1
        loss = _train_epoch(step, epoch_batches(epoch), started + limits.max_seconds)
        with average.applied():
            value = validate()
            if value > best_value:
                best_value, best_epoch, best_weights = value, epoch, model.get_weights()
        progress.advance(epoch, loss=loss, validation_ndcg_at_10=value)
        if time.monotonic() - started > limits.max_seconds:
            progress.note(f"Stopped after {epoch} epochs by the clock ({limits.max_seconds:.0f} s).")
            break
    model.set_weights(best_weights)
    return FitReport(best_value, best_epoch, epoch, time.monotonic() - started)


def _train_epoch(
    step: Callable[[Mapping[str, Any]], Mapping[str, tf.Tensor]],
    batches: Iterable[Mapping[str, Any]],
    deadline: float,
) -> float:
    losses = []
    for batch in batches:
        loss = float(step({name: tf.constant(value) for name, value in batch.items()})["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"Expected a finite loss, got {loss} after {len(losses)} steps of this epoch. "
                "Lower `learning_rate`, or look for items with extreme counts."
            )
        losses.append(loss)
        if time.monotonic() > deadline:
            break
    if not losses:
        raise TrainingError("Expected training examples, got none: all positives lie in the validation period.")
    return float(np.mean(losses))
