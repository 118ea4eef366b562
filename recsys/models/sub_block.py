"""Device towers of several sizes in one: the leading units of each hidden layer are a smaller tower.

HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous Clients, Diao, Ding and Tarokh,
ICLR 2021. A device of size s has, of each hidden layer, the first ⌈s · units⌉ units, and of each weight the leading
block that these units involve. Deviations: what a hidden layer gives is not scaled by 1/s (their Scaler), so that a
block scores exactly as the whole tower does whose other weights are zero; the tower has no batch normalisation to be
made static; its input and its output are whole in all sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from recsys.config.federated import DeviceSettings
from recsys.contracts.arrays import Float32Array
from recsys.models.device_tower import build_device_tower
from recsys.models.per_user_tower import device_weight_shapes


def shrink(settings: DeviceSettings, size: float) -> DeviceSettings:
    """Returns the settings of the tower of a size.

    Args:
      settings: Of the whole tower.
      size: Share of the units of each hidden layer, above 0 and at most 1.

    Example:
      >>> shrink(DeviceSettings(hidden_units=(32, 10)), 0.25).hidden_units
      (8, 3)
    """
    units = tuple(math.ceil(size * whole) for whole in settings.hidden_units)
    return settings.model_copy(update={"hidden_units": units})


def mask_weights(dim: int, settings: DeviceSettings, size: float) -> list[Float32Array]:
    """Returns 1 where a weight is part of the tower of a size, and else 0; shapes as of `device_weight_shapes`.

    Args:
      dim: Length of a vector.
      settings: Of the whole tower.
      size: As of `shrink`.
    """
    masks = [np.zeros(shape, np.float32) for shape in device_weight_shapes(dim, settings)]
    for mask, block in zip(masks, device_weight_shapes(dim, shrink(settings, size)), strict=True):
        mask[tuple(slice(length) for length in block)] = 1.0
    return masks


def cut_weights(weights: Sequence[Float32Array], dim: int, settings: DeviceSettings, size: float) -> list[Float32Array]:
    """Returns the weights of the tower of a size, in the order and shapes of `build_device_tower(dim, shrink(…))`.

    Args:
      weights: Of the whole tower, as of `device_weight_shapes`.
      dim: Length of a vector.
      settings: Of the whole tower.
      size: As of `shrink`.
    """
    blocks = device_weight_shapes(dim, shrink(settings, size))
    return [
        np.asarray(weight)[tuple(slice(length) for length in block)]
        for weight, block in zip(weights, blocks, strict=True)
    ]


def cut_tower(
    tower: tf.keras.Model, dim: int, settings: DeviceSettings, size: float
) -> tuple[tf.keras.Model, DeviceSettings]:
    """Returns the tower of a size out of the whole one, with its settings: what `export_device_files` wants.

    Args:
      tower: The whole one, of `build_device_tower(dim, settings)`.
      dim: Length of a vector.
      settings: Of the whole tower.
      size: As of `shrink`.
    """
    smaller = shrink(settings, size)
    block = build_device_tower(dim, smaller)
    whole = [weight.numpy() for weight in tower.trainable_weights]
    for variable, weight in zip(block.trainable_weights, cut_weights(whole, dim, settings, size), strict=True):
        variable.assign(weight)
    return block, smaller
