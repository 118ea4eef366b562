"""Reads what TensorBoard would draw."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf


def read_curves(folder: Path) -> list[tuple[int, str, float]]:
    """Returns (step, name, value) of all that a run holds, in the order in which it was written."""
    found = []
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(event.step, value.tag, float(tf.make_ndarray(value.tensor))) for value in event.summary.value]
    return found
