"""Learning curves for TensorBoard: of the cloud's fits by epoch, of federated runs by round."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from recsys.errors import WorkspaceError

Figures = Mapping[str, float]
"""What is drawn of a step, by the name of its curve."""


class Curves:
    """Learning curves as one TensorBoard run, that holds each step once however often the work was taken up."""

    def __init__(self, folder: Path, steps: Sequence[Figures]) -> None:
        """Begins the run anew, with the steps that there are.

        Args:
          folder: Of the run; what it held is replaced.
          steps: Those before, from 1.

        Raises:
          WorkspaceError: If the disk is full or refuses.
        """
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        with _explain_errors(folder):
            self._writer = tf.summary.create_file_writer(str(folder))
        for number, figures in enumerate(steps, start=1):
            self.add(number, figures)

    def add(self, number: int, figures: Figures) -> None:
        """Writes a step, so that it can be seen at once.

        Raises:
          WorkspaceError: If the disk is full or refuses.
        """
        with _explain_errors(self._folder):
            with self._writer.as_default(step=number):
                for name, value in figures.items():
                    tf.summary.scalar(name, value)
            self._writer.flush()

    def close(self) -> None:
        """Ends the run."""
        self._writer.close()


@contextmanager
def _explain_errors(folder: Path) -> Iterator[None]:
    """Turns what TensorFlow says of the disk into an error that says what to do."""
    try:
        yield
    except tf.errors.OpError as error:
        said = error.message.splitlines()[0].rpartition("}} ")[2]
        raise WorkspaceError(
            f"Expected to write learning curves to {folder}, got: {said}. Free space there or make the folder "
            "writable, and run the command again."
        ) from error
