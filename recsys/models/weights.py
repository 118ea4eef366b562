"""Weights of a model as one npz file: arrays named `00:<name>`, `01:<name>`… in the order of `model.weights`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from recsys.errors import BundleError


def encode_weights(model: tf.keras.Model) -> bytes:
    """Returns the weights of a model; equal weights give equal bytes."""
    buffer = io.BytesIO()
    arrays = {f"{place:02d}:{weight.name}": weight.numpy() for place, weight in enumerate(model.weights)}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decode_weights(data: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Returns name to array, in the order in which they were written.

    Raises:
      BundleError: If the bytes are no npz file of plain arrays.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise BundleError(f"Expected weights as an npz file, got {len(data)} bytes that are none: {error}.") from error


def restore_grown_weights(model: tf.keras.Model, data: bytes, tables: Sequence[tf.Variable]) -> None:
    """Sets weights that were written when some tables had fewer rows: the rows that are new become zero.

    Args:
      model: Of the same structure otherwise.
      data: What `encode_weights` wrote of the smaller one.
      tables: The weights that may have grown.

    Raises:
      BundleError: If the bytes are no weights, or of another structure; the model is unchanged then.
    """
    arrays = list(decode_weights(data).values())
    if len(arrays) == len(model.weights):
        arrays = [
            _grow(array, weight.shape[0]) if any(weight is table for table in tables) else array
            for weight, array in zip(model.weights, arrays, strict=True)
        ]
    _restore(model, arrays)


def _grow(table: npt.NDArray[np.float32], num_rows: int) -> npt.NDArray[np.float32]:
    missing = max(0, num_rows - len(table))
    return np.concatenate([table, np.zeros((missing, *table.shape[1:]), table.dtype)])


def restore_weights(model: tf.keras.Model, data: bytes) -> None:
    """Sets weights that `encode_weights` wrote onto a model of the same structure; on an error it is unchanged.

    Raises:
      BundleError: If the bytes are no weights, or of another structure.
    """
    _restore(model, list(decode_weights(data).values()))


def _restore(model: tf.keras.Model, arrays: list[npt.NDArray[np.float32]]) -> None:
    expected = [tuple(weight.shape) for weight in model.weights]
    given = [array.shape for array in arrays]
    if expected != given:
        differing = [place for place, shapes in enumerate(zip(expected, given, strict=False)) if shapes[0] != shapes[1]]
        place = differing[0] if differing else min(len(expected), len(given))
        raise BundleError(
            f"Expected {len(expected)} weights for {model.name!r}, got {len(given)}; they differ first at {place}: "
            f"expected {expected[place : place + 1]}, got {given[place : place + 1]}. "
            "They were written with other settings: train again, or use the settings of then."
        )
    for weight, array in zip(model.weights, arrays, strict=True):
        weight.assign(array)
