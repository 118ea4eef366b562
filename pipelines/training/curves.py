"""Learning curves for TensorBoard."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from pipelines.training.checkpoint import Point


class Curves:
    """Learning curves as one TensorBoard run, that holds each epoch once however often the fit was taken up."""

    def __init__(self, folder: Path, points: Sequence[Point]) -> None:
        """Begins the run anew, with the points that there are.

        Args:
          folder: Of the run; what it held is replaced.
          points: Of the epochs before.
        """
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(folder))
        for epoch, point in enumerate(points, start=1):
            self.add(epoch, point)

    def add(self, epoch: int, point: Point) -> None:
        """Writes an epoch, so that it can be seen at once."""
        with self._writer.as_default(step=epoch):
            for name, value in asdict(point).items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def close(self) -> None:
        """Ends the run."""
        self._writer.close()
