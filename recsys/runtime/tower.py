"""An exported tower under LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from recsys.contracts.arrays import Float32Array
from recsys.errors import BundleError
from recsys.runtime.signatures import Signatures

SMALL_BATCH: Final = 8
"""Up to so many rows each size of a batch has an interpreter of its own; larger ones have one for all."""


class Tower:
    """One signature of an exported model, callable from any thread.

    LiteRT interpreters are not safe to share, so each thread gets its own, and one for each small size of batch: in one
    for all, memory would be laid out anew whenever the size is another than the last time. The model's bytes are
    shared.

    Attributes:
      takes_batches: Whether the model declares a free first axis, so that it runs several rows at once.

    Example:
      tower = Tower(path.read_bytes(), "encode")
      query = tower(history=vectors, history_mask=mask)["query"]
    """

    def __init__(self, model: bytes, signature: str) -> None:
        """Loads the model once, to fail early.

        Args:
          model: A LiteRT flatbuffer.
          signature: Name of one of its signatures.

        Raises:
          BundleError: If the bytes are no model, or it lacks the signature.
        """
        self._model = model
        self._signature = signature
        self._weights: Float32Array | None = None
        self._own = _Interpreters()
        self.takes_batches = any(shape[:1] == (-1,) for shape in self._signatures(1).input_shapes(signature).values())

    @property
    def size_bytes(self) -> int:
        """Size of the model."""
        return len(self._model)

    def input_shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape that the model declares for an input; -1 stands for a free axis.

        Raises:
          BundleError: If the signature has no such input.
        """
        shapes = self._signatures(1).input_shapes(self._signature)
        if name not in shapes:
            raise BundleError(f"Expected the input {name!r} of signature {self._signature!r}, got {sorted(shapes)}.")
        return shapes[name]

    def restore(self, weights: Float32Array) -> None:
        """Takes other weights, from the next call of any thread on.

        Args:
          weights: `[num_weights]` float32, for a model that has the signature `restore`.

        Raises:
          BundleError: If the model cannot take weights, or has another number of them; nothing changes then.
        """
        self._signatures(1).run("restore", weights=weights)
        self._weights = self._own.weights[1] = weights

    def __call__(self, **inputs: Any) -> Mapping[str, Float32Array]:
        """Runs the signature.

        Args:
          **inputs: One array per input of the signature, with its shape and dtype. Several rows of a model that
            declares one, as those of earlier versions do, are run one by one.

        Returns:
          Output name to array.

        Raises:
          BundleError: If inputs are missing or unknown; the bundle and the caller are of different versions.
        """
        size = _size(inputs)
        if size <= 1 or self.takes_batches:
            return self._signatures(size).run(self._signature, **inputs)
        rows = [self(**{name: array[row : row + 1] for name, array in inputs.items()}) for row in range(size)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _signatures(self, size: int) -> Signatures:
        own, size = self._own, min(size, SMALL_BATCH + 1)
        if size not in own.by_size:
            own.by_size[size], own.weights[size] = Signatures(self._model), None
        signatures = own.by_size[size]
        if own.weights[size] is not self._weights:
            signatures.run("restore", weights=self._weights)
            own.weights[size] = self._weights
        return signatures


class _Interpreters(threading.local):
    """Those of one thread, by the size of the batches that they are laid out for, and the weights in each."""

    def __init__(self) -> None:
        self.by_size: dict[int, Signatures] = {}
        self.weights: dict[int, Float32Array | None] = {}


def _size(inputs: Mapping[str, Any]) -> int:
    """Rows of a batch, by the first input; 1 where that has no axis."""
    shape = np.shape(next(iter(inputs.values()), 0.0))
    return shape[0] if shape else 1
