"""What devices make of their updates before these are added: nothing, fewer bits, or integers for a secure sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import tensorflow as tf

from federated.simulation.packed.training import Tensors, add_up, align, per_user
from recsys.config.federated import AggregationSettings, FederatedSettings
from recsys.errors import ConfigError

FLOAT_BYTES: Final = 4
SECURE_BITS: Final = 32
"""Secure sums are taken modulo 2 to this; so many bits are sent of each number."""

_FLAG_BYTES: Final = 1
"""Whether an update was too long, too wild, or larger than the last round expected: three bits."""

_LEAST_SIZE: Final = 16
"""Weights with fewer numbers are sent as they are: their range would cost as much."""

_NUM_SEEDS: Final = 2**31


@dataclass(frozen=True)
class Plain:
    """Numbers as they are."""

    def add_up(self, update: Tensors, weight: tf.Tensor, clip_norm: tf.Tensor, round_number: tf.Tensor) -> Tensors:
        """Returns the weighted sum; arguments as of `robust.Encoding`."""
        return add_up(update, weight)

    def decode(self, total: Tensors, clip_norm: tf.Tensor) -> Tensors:
        """Returns it as it is."""
        return total


@dataclass(frozen=True)
class Dithered:
    """A few bits of each number: places on an even grid between the least and the largest of each weight's numbers.

    Distributed Mean Estimation with Limited Communication, Suresh et al., ICML 2017, with a dither that both ends know
    (Dithered Quantizers, Gray and Stockham, IEEE Transactions on Information Theory 1993): q = round(x / step + u) is
    sent and (q - u) step is read, u even in -1/2 to 1/2, so that the error is even within half a step whatever x is.
    Deviations: u is drawn anew for each round and number, but alike for all devices, so that a killed run ends with the
    same tower; updates are not rotated first, and are encoded before they are weighted: the weight goes beside them.

    Attributes:
      bits: Of each number.
      seed: Of the dither.
    """

    bits: int
    seed: int

    def add_up(self, update: Tensors, weight: tf.Tensor, clip_norm: tf.Tensor, round_number: tf.Tensor) -> Tensors:
        """Returns the weighted sum of what the server reads; arguments as of `robust.Encoding`."""
        read = [
            self.reread(part, round_number, place) if is_encoded(part.shape[1:]) else part
            for place, part in enumerate(update)
        ]
        return add_up(read, weight)

    def decode(self, total: Tensors, clip_norm: tf.Tensor) -> Tensors:
        """Returns it as it is."""
        return total

    def reread(self, part: tf.Tensor, round_number: tf.Tensor, place: int) -> tf.Tensor:
        """Returns what is read of what is sent, `[num_users, …]` float32.

        Args:
          part: Of the same shape.
          round_number: This and the next choose the dither.
          place: Of the weight among all.
        """
        seed = tf.stack([tf.constant((self.seed + place) % _NUM_SEEDS, tf.int32), round_number])
        dither = tf.random.stateless_uniform(part.shape[1:], seed, -0.5, 0.5)[None]
        low, high = (align(per_user(reduce, part), part) for reduce in (tf.reduce_min, tf.reduce_max))
        most = float(2**self.bits - 1)
        step = (high - low) / most
        sent = tf.clip_by_value(tf.round(tf.math.divide_no_nan(part - low, step) + dither), 0.0, most)
        return tf.where(step > 0, low + (sent - dither) * step, low)


@dataclass(frozen=True)
class Integers:
    """Whole steps: their sum does not depend on order or packs, and can be taken under masks.

    Practical Secure Aggregation for Privacy-Preserving Machine Learning, Bonawitz et al., CCS 2017, adds integers by a
    modulus, here 2^32. The masks, which cancel out of the sum, are left out: a masked sum is this sum, bit for bit.

    Attributes:
      bits: Of each number, its sign among them; the bound C is the largest.
    """

    bits: int

    @classmethod
    def build(cls, settings: FederatedSettings) -> Integers:
        """Returns the encoding, if no sum of a cohort can overflow.

        Raises:
          ConfigError: If one could.
        """
        encoding = cls(settings.aggregation.secure_bits)
        num_clients = settings.rounds.clients_per_round
        weight = settings.device.max_examples * settings.device.local_epochs
        needed = encoding.bits + math.ceil(math.log2(num_clients * weight))
        if needed > SECURE_BITS:
            raise ConfigError(
                f"`aggregation.secure_bits`: expected secure sums that fit into {SECURE_BITS} bits, got {needed}: "
                f"{encoding.bits} of a number, and up to {num_clients} clients with {weight} examples. "
                "Allow fewer bits, examples or clients."
            )
        return encoding

    @property
    def most(self) -> int:
        """The largest number that is sent, in steps."""
        return 2 ** (self.bits - 1) - 1

    def encode(self, update: Tensors, clip_norm: tf.Tensor) -> list[tf.Tensor]:
        """Returns numbers in steps, `[num_users, …]` int32 each; arguments as of `robust.Encoding.add_up`."""
        scale = float(self.most) / clip_norm
        return [tf.cast(tf.clip_by_value(tf.round(part * scale), -self.most, self.most), tf.int32) for part in update]

    def add_up(self, update: Tensors, weight: tf.Tensor, clip_norm: tf.Tensor, round_number: tf.Tensor) -> Tensors:
        """Returns the weighted sum in steps, int32; arguments as of `robust.Encoding`."""
        return add_up(self.encode(update, clip_norm), tf.cast(weight, tf.int32))

    def decode(self, total: Tensors, clip_norm: tf.Tensor) -> Tensors:
        """Returns the sum as float32."""
        return [tf.cast(part, tf.float32) * (clip_norm / float(self.most)) for part in total]


def is_encoded(shape: Sequence[int]) -> bool:
    """Returns whether weights of a shape are worth encoding in fewer bits."""
    return math.prod(shape) >= _LEAST_SIZE


def count_upload_bytes(weight_shapes: Sequence[Sequence[int]], settings: AggregationSettings) -> int:
    """Returns how much one client sends in a round: its update, its weight, and flags where there are bounds.

    What the exchange of keys and shares adds to a secure sum is not in it.

    Args:
      weight_shapes: Of the weights.
      settings: How updates are encoded.
    """
    sizes = [math.prod(shape) for shape in weight_shapes]
    if settings.kind == "mean":
        return FLOAT_BYTES * (sum(sizes) + 1)
    bits = settings.compressed_bits if settings.kind == "compressed" else None
    return sum(_count_bytes(size, bits) for size in sizes) + FLOAT_BYTES + _FLAG_BYTES


def _count_bytes(size: int, bits: int | None) -> int:
    if bits is None or size < _LEAST_SIZE:
        return FLOAT_BYTES * size
    return math.ceil(size * bits / 8) + 2 * FLOAT_BYTES
