"""The loop that fits a model: epochs, validation, early stopping, a clock, and the best weights at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from pipelines.training.averaging import WeightAverage
from pipelines.training.checkpoint import Checkpoint, Course, Point
from pipelines.training.trail import Trail
from recsys.errors import TrainingError
from recsys.models.curves import Curves
from recsys.progress import Progress


@dataclass(frozen=True)
class Limits:
    """When to stop, and what is judged.

    Attributes:
      max_epochs: stops after so many epochs,
      patience: after so many without a gain,
      max_seconds: or after so long.
      momentum: of the average of the weights that is judged and kept; 0 judges the weights of the last step.
      judged_by: what the validation value is called.
    """

    max_epochs: int
    patience: int
    max_seconds: float
    momentum: float = 0.0
    judged_by: str = "validation_ndcg_at_10"


@dataclass(frozen=True)
class FitReport:
    """What a fit came to.

    Attributes:
      best_value: the validation value of the weights that were kept.
      best_epoch: the epoch after which they stood; 0 is before training.
      num_epochs: epochs begun.
      seconds: time taken, that of earlier runs counted which were cut off.
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
    trail: Trail | None = None,
) -> FitReport:
    """Trains a compiled model and leaves it with the (averaged) weights that validated best, the initial ones included.

    A fit that finds its own checkpoint on the trail goes on from there, to the same weights as if it had never been
    cut off; the clock goes on, too.

    Args:
      model: Compiled; its `compute_loss` reads a batch.
      epoch_batches: Epoch number (from 1) to the batches of that epoch, each time the same ones.
      signature: Shape and dtype of each entry of a batch; unknown lengths are None.
      validate: Returns the value to raise; called before the first and after each epoch.
      limits: When to stop.
      progress: Told the loss and the validation value of each epoch.
      trail: Where to keep checkpoints and learning curves; None keeps none.

    Raises:
      TrainingError: If the loss is no finite number, or an epoch has no batch.
      WorkspaceError: If a checkpoint cannot be written.
    """
    average = WeightAverage(model, limits.momentum)
    with _follow(model, average, validate, progress, trail) as (course, keep):
        step = _trace_step(model, average, signature)
        started = time.monotonic() - course.seconds
        while _goes_on(course, limits):
            epoch = course.epoch + 1
            loss = _train_epoch(step, epoch_batches(epoch), started + limits.max_seconds)
            with average.applied():
                value = validate()
                if value > course.best_value:
                    course.best_value, course.best_epoch, course.best_weights = value, epoch, model.get_weights()
            course.points.append(Point(loss, value, _learning_rate(model), time.monotonic() - started))
            keep()
            progress.advance(epoch, loss=loss, **{limits.judged_by: value})
    if course.seconds > limits.max_seconds:
        progress.note(f"Stopped after {course.epoch} epochs by the clock ({limits.max_seconds:.0f} s).")
    model.set_weights(course.best_weights)
    return FitReport(course.best_value, course.best_epoch, course.epoch, course.seconds)


@contextmanager
def _follow(
    model: tfrs.Model, average: WeightAverage, validate: Callable[[], float], progress: Progress, trail: Trail | None
) -> Iterator[tuple[Course, Callable[[], None]]]:
    """Gives the course so far, taken up from the trail where there is a checkpoint, and what keeps each epoch on it."""
    if trail is None:
        yield Course(validate(), model.get_weights()), lambda: None
        return
    model.optimizer.build(model.trainable_variables)
    checkpoint = Checkpoint(trail.checkpoints, [*model.weights, *model.optimizer.variables, *average.variables])
    restored = checkpoint.restore()
    if restored is not None:
        progress.note(f"Goes on after epoch {restored.epoch}, which an earlier run had finished.")
    course = restored or Course(validate(), model.get_weights())
    curves = Curves(trail.curves, [asdict(point) for point in course.points])

    def keep() -> None:
        checkpoint.save(course)
        curves.add(course.epoch, asdict(course.points[-1]))

    try:
        yield course, keep
    finally:
        curves.close()


def _goes_on(course: Course, limits: Limits) -> bool:
    is_patient = course.epoch - course.best_epoch < limits.patience
    return course.epoch < limits.max_epochs and is_patient and course.seconds <= limits.max_seconds


def _trace_step(
    model: tfrs.Model, average: WeightAverage, signature: Mapping[str, tf.TensorSpec]
) -> Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]:
    def train_step(batch: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        figures = model.train_step(batch)
        average.update()
        return figures

    return tf.function(train_step, input_signature=[dict(signature)])


def _learning_rate(model: tfrs.Model) -> float:
    return float(tf.convert_to_tensor(model.optimizer.learning_rate))


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
