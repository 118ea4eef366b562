"""One tower, three views of it: which weights the server has, and which each device has for itself.

With no weight of their own devices train one global tower; with all of them everybody is alone; in between lies what is
learned together and what is a person's own (Federated Reconstruction: Partially Local Federated Learning, Singhal et
al., NeurIPS 2021). The tower is the same, so that only this differs where they are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy.typing as npt
import tensorflow as tf

View = Literal["global", "partially_local", "fully_local"]

_T = TypeVar("_T")


def find_local(view: View, num_weights: int) -> frozenset[int]:
    """Returns the places of a device's own weights among those of the device tower.

    A person's own are, where some are: how sharply the attention picks, how far back it looks (the first two), and how
    much the cloud's score and the query's count (the last but one). What is shared judges the matches.

    Args:
      view: Of the tower.
      num_weights: Of the tower.
    """
    match view:
        case "global":
            return frozenset()
        case "partially_local":
            return frozenset({0, 1, num_weights - 2})
        case "fully_local":
            return frozenset(range(num_weights))


def split_weights(weights: Sequence[_T], local: frozenset[int]) -> tuple[list[_T], list[_T]]:
    """Returns the server's weights, and the others, each in their order."""
    shared = [weight for place, weight in enumerate(weights) if place not in local]
    return shared, [weights[place] for place in sorted(local)]


def restore(tower: tf.keras.Model, weights: Sequence[npt.NDArray[Any]]) -> None:
    """Gives a tower these weights, in its order."""
    for variable, weight in zip(tower.trainable_weights, weights, strict=True):
        variable.assign(weight)


def join_weights(weights: Sequence[_T], local: frozenset[int]) -> list[_T]:
    """Returns a tower's weights in their order; the reverse of `split_weights`.

    Args:
      weights: The server's, and behind them the others.
      local: Places of the latter in the tower.
    """
    own = dict(zip(sorted(local), weights[len(weights) - len(local) :], strict=True))
    shared = iter(weights[: len(weights) - len(local)])
    return [own[place] if place in local else next(shared) for place in range(len(weights))]
