"""What a client of a round sends and receives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from federated.simulation.algorithms.registry import local_weights
from federated.simulation.packed.encodings import FLOAT_BYTES, count_upload_bytes
from federated.simulation.views import split_weights
from recsys.config.federated import FederatedSettings


@dataclass(frozen=True)
class Traffic:
    """Bytes of one client in one round, where it trains the whole tower.

    Attributes:
      bytes_down: What it receives: the tower's weights as float32.
      bytes_up: What it sends: their change, as `aggregation.kind` encodes it, and its weight in the average.
    """

    bytes_down: int
    bytes_up: int

    @classmethod
    def of(cls, tower: tf.keras.Model, settings: FederatedSettings) -> Traffic:
        """Counts them for rounds of a tower; what `rounds.algorithm` keeps on the device is not sent."""
        shapes = [weight.shape.as_list() for weight in tower.trainable_weights]
        sent, _ = split_weights(shapes, local_weights(settings.rounds.algorithm, len(shapes)))
        return cls(FLOAT_BYTES * sum(map(math.prod, shapes)), count_upload_bytes(sent, settings.aggregation))
