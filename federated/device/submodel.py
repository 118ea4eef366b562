"""What a device trains of a sequence tower: a stretch of its own choices, and the rows of items that this touches.

The rows are a submodel (Niu et al., "Billion-Scale Federated Learning on Mobile Clients: A Submodel Design with Tunable
Privacy", MobiCom 2020): those of the stretch, and of items that were drawn to stand against them. Which rows these are
would tell what was chosen; so a device downloads the whole table, and uploads a whole vector, zeros and all, that is
masked. What a submodel saves is the device's work and memory.

Each next choice is to be told from all other items of the submodel. Drawn items stand for all that the stretch does not
hold: each counts as many times as there are such items to one that was drawn (sampled softmax, Bengio and Senécal,
"Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language Model", IEEE Transactions on
Neural Networks 2008). Deviation: items are drawn evenly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsys.config.federated import StrictTowerSettings
from recsys.contracts.arrays import Float32Array, Int32Array

ABSENT: Final = -1e9
"""Added to the score of a place that holds no item."""


@dataclass(frozen=True, eq=False)
class Submodel:
    """A local example; `place` is a position in `rows`.

    Attributes:
      rows: `[num_rows]` int32 items: of the stretch, then those drawn; 0 where a place holds none.
      offsets: `[num_rows]` float32, added to scores: the logarithm of how many items each stands for.
      inputs: `[history_length]` int32 places, oldest first; 0 behind the last.
      targets: `[history_length]` int32 places of what came next.
      present: `[history_length]` float32, 0 behind the last.
    """

    rows: Int32Array
    offsets: Float32Array
    inputs: Int32Array
    targets: Int32Array
    present: Float32Array


def num_rows(settings: StrictTowerSettings) -> int:
    """Returns the places of a submodel, filled or not."""
    return settings.history_length + 1 + settings.num_negatives


def draw_submodel(
    history: Int32Array, num_items: int, settings: StrictTowerSettings, rng: np.random.Generator
) -> Submodel | None:
    """Returns a local example, or None where there are fewer than two choices to learn from.

    Args:
      history: `[num]` int32 items from 0, oldest first; -1 is left out.
      num_items: In the table, at least one more than a stretch can hold.
      settings: Lengths.
      rng: Draws the stretch, and the items that stand against it.
    """
    chosen = history[history >= 0]
    if len(chosen) < 2:
        return None
    stretch = _draw_stretch(chosen, settings.history_length + 1, rng)
    own, places = np.unique(stretch, return_inverse=True)
    others = np.setdiff1d(np.arange(num_items), own, assume_unique=True)
    drawn = rng.choice(others, min(settings.num_negatives, len(others)), replace=False)
    rows = np.zeros(num_rows(settings), np.int32)
    offsets = np.full(len(rows), ABSENT, np.float32)
    count = len(own) + len(drawn)
    rows[:count] = np.concatenate([own, drawn])
    offsets[: len(own)] = 0.0
    offsets[len(own) : count] = np.log(len(others) / max(len(drawn), 1))
    inputs, targets = np.zeros((2, settings.history_length), np.int32)
    steps = len(stretch) - 1
    inputs[:steps], targets[:steps] = places[:-1], places[1:]
    present = (np.arange(settings.history_length) < steps).astype(np.float32)
    return Submodel(rows, offsets, inputs, targets, present)


def _draw_stretch(chosen: Int32Array, length: int, rng: np.random.Generator) -> Int32Array:
    """Consecutive choices, as many as there are up to a length; every end is as likely."""
    most = min(length, len(chosen))
    end = int(rng.integers(most, len(chosen) + 1))
    return chosen[end - most : end]
