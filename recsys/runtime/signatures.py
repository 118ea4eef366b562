"""An exported model under LiteRT, its signatures called by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from recsys.contracts.arrays import Float32Array
from recsys.errors import BundleError


class Signatures:
    """One interpreter of a model: its signatures share the model's variables, if it has any.

    Not to be called by two threads at once.

    Example:
      model = Signatures(path.read_bytes())
      model.run("restore", weights=weights)
      loss = model.run("train", learning_rate=np.float32(0.1), **batch)["loss"]
      weights = model.run("save")["weights"]
    """

    def __init__(self, model: bytes) -> None:
        """Loads the model, on one thread.

        Args:
          model: A LiteRT flatbuffer.

        Raises:
          BundleError: If the bytes are no model.
        """
        try:
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            self.names: tuple[str, ...] = tuple(sorted(self._interpreter.get_signature_list()))
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"Expected a LiteRT model, got {len(model)} bytes that are none: {error}") from error
        self._runners: dict[str, Any] = {}
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        self._given: dict[str, dict[str, tuple[int, ...]]] = {}

    def input_shapes(self, signature: str) -> Mapping[str, tuple[int, ...]]:
        """Returns the shape that the model declares for each input of a signature; -1 stands for a free axis.

        Raises:
          BundleError: If there is no such signature.
        """
        self._runner(signature)
        return self._shapes[signature]

    def run(self, signature: str, **inputs: Any) -> dict[str, Float32Array]:
        """Runs a signature.

        Args:
          signature: Its name.
          **inputs: One array per input of the signature, with its shape and dtype.

        Returns:
          Output name to array.

        Raises:
          BundleError: If there is no such signature, or inputs are missing, unknown or of another shape; the bundle
            and the caller are of different versions.
        """
        runner = self._runner(signature)
        arrays = {name: np.asarray(value, order="C") for name, value in inputs.items()}
        given = {name: array.shape for name, array in arrays.items()}
        if given != self._given.get(signature):
            self._check(signature, given)
            self._given.pop(signature, None)
            outputs = dict(runner(**arrays))
            self._given[signature] = given
            return outputs
        return _run_again(runner, arrays)

    def _check(self, signature: str, given: Mapping[str, tuple[int, ...]]) -> None:
        shapes = self._shapes[signature]
        if given.keys() != shapes.keys():
            raise BundleError(
                f"Expected inputs {sorted(shapes)} for tower signature {signature!r}, got {sorted(given)}."
            )
        for name, shape in shapes.items():
            _check_shape(signature, name, shape, given[name])

    def _runner(self, signature: str) -> Any:
        if signature not in self._runners:
            if signature not in self.names:
                raise BundleError(
                    f"Expected the signature {signature!r} in the model, got {list(self.names)}. "
                    "Is the bundle of an earlier Tandem? `tandem federate` and `tandem train` publish it anew."
                )
            runner = self._interpreter.get_signature_runner(signature)
            self._shapes[signature] = {
                name: tuple(int(size) for size in given["shape_signature"])
                for name, given in runner.get_input_details().items()
            }
            self._runners[signature] = runner
        return self._runners[signature]


def _run_again(runner: Any, arrays: Mapping[str, Any]) -> dict[str, Float32Array]:
    """Runs a signature whose inputs have the shapes of the last time.

    What the runner itself does, but for asking LiteRT for these shapes once more, input by input: a sixth of the time
    of a small tower. The runner keeps these parts to itself; the lock holds the version that has them.
    """
    model, graph = runner._interpreter_wrapper, runner._subgraph_index
    for name, array in arrays.items():
        model.SetTensor(runner._inputs[name], array, graph)
    model.Invoke(graph)
    return {name: model.GetTensor(index, graph) for name, index in runner._outputs}


def _check_shape(signature: str, name: str, expected: tuple[int, ...], given: tuple[int, ...]) -> None:
    """LiteRT itself would resize the input, and whatever is computed from it."""
    fits = len(expected) == len(given) and all(size in (-1, own) for size, own in zip(expected, given, strict=True))
    if not fits:
        raise BundleError(
            f"Expected {name!r} {list(expected)} for tower signature {signature!r}, got {list(given)}. "
            "The model is of other settings or of another version."
        )
