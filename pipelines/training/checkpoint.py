"""How far a fit has come, kept after each epoch, so that a killed one goes on from there to the very same weights.

All that an epoch depends on is here: batches and dropout are drawn from (seed, epoch) and (seed, step), and the step
is counted by the optimizer.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from recsys.storage.atomic import remove_partials, write_file

CHECKPOINT_FILE: Final = "checkpoint.npz"

_PROGRESS: Final = "progress"
_BEST: Final = "best"


@dataclass(frozen=True)
class Point:
    """What an epoch came to: a point of each learning curve."""

    loss: float
    validation: float
    learning_rate: float
    seconds: float


@dataclass
class Course:
    """A fit's progress.

    Attributes:
      best_value: the best validation value so far.
      best_weights: of the model, when it had that value.
      best_epoch: after which epoch it had it; 0 is before training.
      points: one per epoch that was finished.
    """

    best_value: float
    best_weights: list[npt.NDArray[Any]]
    best_epoch: int = 0
    points: list[Point] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.points)

    @property
    def seconds(self) -> float:
        """Time taken by the finished epochs, over all runs that took part."""
        return self.points[-1].seconds if self.points else 0.0


class Checkpoint:
    """One file with a fit's progress and the values of all its variables."""

    def __init__(self, folder: Path, variables: Sequence[tf.Variable]) -> None:
        """Reads nothing yet.

        Args:
          folder: Where the file lies; made when it is first written.
          variables: Of the model, of its optimizer (built) and of the average: always in one order.
        """
        self._path = folder / CHECKPOINT_FILE
        self._variables = list(variables)

    def save(self, course: Course) -> None:
        """Writes progress and variables, atomically.

        Raises:
          WorkspaceError: If the disk is full or refuses; the file is then as it was.
        """
        progress = {
            "best_value": course.best_value,
            "best_epoch": course.best_epoch,
            "points": [asdict(point) for point in course.points],
        }
        arrays: dict[str, npt.NDArray[Any]] = {_PROGRESS: np.array(json.dumps(progress))}
        arrays |= {_name(place): variable.numpy() for place, variable in enumerate(self._variables)}
        arrays |= {f"{_BEST}/{_name(place)}": array for place, array in enumerate(course.best_weights)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_file(self._path, buffer.getvalue())

    def restore(self) -> Course | None:
        """Sets the variables to what was saved and returns the progress of then.

        Returns None, and sets nothing, where nothing was saved or the file does not fit the variables (it is older
        than a change of the code): the fit then begins anew.
        """
        remove_partials(self._path)
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            progress = json.loads(str(arrays.pop(_PROGRESS)))
            best = [arrays.pop(name) for name in sorted(arrays) if name.startswith(f"{_BEST}/")]
            values = [arrays[name] for name in sorted(arrays)]
            points = [Point(**point) for point in progress["points"]]
            course = Course(progress["best_value"], best, progress["best_epoch"], points)
        except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile):
            return None
        if [(array.shape, array.dtype) for array in values] != [_kind(variable) for variable in self._variables]:
            return None
        for variable, array in zip(self._variables, values, strict=True):
            variable.assign(array)
        return course


def _name(place: int) -> str:
    return f"{place:04d}"


def _kind(variable: tf.Variable) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return tuple(variable.shape), np.dtype(variable.dtype.as_numpy_dtype)
