"""An exported tower under LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from recsys.contracts.arrays import Float32Array
from recsys.errors import BundleError


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
        self._local = threading.local()
        self._inputs: dict[str, Any] = self._runner().get_input_details()

    @property
    def size_bytes(self) -> int:
        """Size of the model."""
        return len(self._model)

    def input_shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape that the model declares for an input; -1 stands for a free axis.

        Raises:
          BundleError: If the signature has no such input.
        """
        if name not in self._inputs:
            raise BundleError(
                f"Expected the input {name!r} of signature {self._signature!r}, got {sorted(self._inputs)}."
            )
        return tuple(int(size) for size in self._inputs[name]["shape_signature"])

    def __call__(self, **inputs: Any) -> Mapping[str, Float32Array]:
        """Runs the signature.

        Args:
          **inputs: One array per input of the signature, with its shape and dtype.

        Returns:
          Output name to array.

        Raises:
          BundleError: If inputs are missing or unknown; the bundle and the caller are of different versions.
        """
        if inputs.keys() != self._inputs.keys():
            raise BundleError(
                f"Expected inputs {sorted(self._inputs)} for tower signature {self._signature!r}, got {sorted(inputs)}."
            )
        outputs = self._runner()(**{name: np.ascontiguousarray(value) for name, value in inputs.items()})
        return dict(outputs)

    def _runner(self) -> Any:
        runner = getattr(self._local, "runner", None)
        if runner is None:
            runner = self._build_runner()
            self._local.runner = runner
        return runner

    def _build_runner(self) -> Any:
        try:
            interpreter = Interpreter(model_content=self._model, num_threads=1)
            signatures = interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"Expected a LiteRT model, got {len(self._model)} bytes that are none: {error}"
            ) from error
        if self._signature not in signatures:
            raise BundleError(f"Expected the signature {self._signature!r} in the model, got {sorted(signatures)}.")
        return interpreter.get_signature_runner(self._signature)
