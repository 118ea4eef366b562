"""Where a fit leaves what outlives it: checkpoints, to be taken up, and learning curves, to be watched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trail:
    """Two folders.

    Attributes:
      checkpoints: for the state after the last epoch; it belongs to one stage's inputs and goes when the stage is made.
      curves: for TensorBoard.
    """

    checkpoints: Path
    curves: Path

    def of(self, model: str) -> Trail:
        """Returns the trail of one of several models."""
        return Trail(self.checkpoints / model, self.curves / model)
