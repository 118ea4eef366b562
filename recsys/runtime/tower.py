"""An exported tower under LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from recsys.contracts.arrays import Float32Array
from recsys.errors import BundleError
from recsys.runtime.signatures import Signatures


class Tower:
    """One signature of an exported model, callable from any thread.

    LiteRT interpreters are not safe to share, so each thread gets its own; the model's bytes are shared.

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
        self._local = threading.local()
        self._signatures().input_shapes(signature)

    @property
    def size_bytes(self) -> int:
        """Size of the model."""
        return len(self._model)

    def input_shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape that the model declares for an input; -1 stands for a free axis.

        Raises:
          BundleError: If the signature has no such input.
        """
        shapes = self._signatures().input_shapes(self._signature)
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
        self._signatures().run("restore", weights=weights)
        self._weights = self._local.weights = weights

    def __call__(self, **inputs: Any) -> Mapping[str, Float32Array]:
        """Runs the signature.

        Args:
          **inputs: One array per input of the signature, with its shape and dtype.

        Returns:
          Output name to array.

        Raises:
          BundleError: If inputs are missing or unknown; the bundle and the caller are of different versions.
        """
        return self._signatures().run(self._signature, **inputs)

    def _signatures(self) -> Signatures:
        signatures: Signatures | None = getattr(self._local, "signatures", None)
        if signatures is None:
            signatures = self._local.signatures = Signatures(self._model)
            self._local.weights = None
        if self._local.weights is not self._weights:
            signatures.run("restore", weights=self._weights)
            self._local.weights = self._weights
        return signatures
