"""Local training on the device, by the interpreter that runs the tower; no TensorFlow.

The step is that of the federated rounds: gradient descent on the mean listwise loss of a batch, batches in the order of
time, once per epoch. So what a device makes of its examples here is what a client of the simulation makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from federated.device.examples import LocalExamples
from recsys.contracts.arrays import Float32Array, Int32Array
from recsys.features.history import history_mask
from recsys.runtime.signatures import Signatures


@dataclass(frozen=True)
class LocalUpdate:
    """What local training made of a tower.

    Attributes:
      weights: `[num_weights]` float32, the tower's, flat; less the weights it started from, this is an update.
      losses: Mean loss of the examples in each epoch, before each step.
    """

    weights: Float32Array
    losses: tuple[float, ...]


class LocalTrainer:
    """Trains a device tower over one interpreter; for one thread at a time."""

    def __init__(self, model: bytes) -> None:
        """Loads the tower, which says itself how many lists it takes in a step.

        Args:
          model: LiteRT flatbuffer with the signatures `train`, `save` and `restore`.

        Raises:
          BundleError: If the bytes are no device tower that can be trained.
        """
        self._model = Signatures(model)
        self.batch_size, self.num_candidates, _ = self._model.input_shapes("train")["candidates"]
        self.start: Float32Array = self._model.run("save")["weights"]

    def train(
        self,
        examples: LocalExamples,
        vectors: Float32Array,
        learning_rate: float,
        num_epochs: int,
        start: Float32Array | None = None,
    ) -> LocalUpdate:
        """Returns what some epochs over the examples make of the tower; each call starts anew.

        Args:
          examples: Oldest first.
          vectors: `[num_items + 1, dim]` float32, row 0 zero.
          learning_rate: Of gradient descent.
          num_epochs: Passes over the examples.
          start: `[num_weights]` float32, where to start from; the tower's own weights where it is None.

        Raises:
          BundleError: If the examples or weights are of other shapes than the tower's.
        """
        self._model.run("restore", weights=self.start if start is None else start)
        losses = []
        for _ in range(num_epochs):
            total = 0.0
            for rows in _cut(len(examples), self.batch_size):
                batch = _gather(examples, rows, vectors, self.batch_size)
                loss = self._model.run("train", learning_rate=np.float32(learning_rate), **batch)["loss"]
                total += float(loss) * len(rows)
            losses.append(total / max(len(examples), 1))
        return LocalUpdate(self._model.run("save")["weights"], tuple(losses))


def _cut(num_examples: int, batch_size: int) -> Iterator[Int32Array]:
    for start in range(0, num_examples, batch_size):
        yield np.arange(start, min(start + batch_size, num_examples), dtype=np.int32)


def _gather(
    examples: LocalExamples, rows: Int32Array, vectors: Float32Array, batch_size: int
) -> dict[str, Float32Array | Int32Array]:
    """Returns the inputs of `train`: a short batch is filled up with rows that count for nothing."""
    filled = np.resize(rows, batch_size)
    candidates, history = examples.candidates[filled], examples.history[filled]
    return {
        "candidates": vectors[candidates],
        "cloud_scores": examples.cloud_scores[filled],
        "query": examples.query[filled],
        "history": vectors[history],
        "history_mask": history_mask(history),
        "candidate_mask": (candidates > 0).astype(np.float32),
        "target": examples.target[filled],
        "example_mask": (np.arange(batch_size) < len(rows)).astype(np.float32),
    }
