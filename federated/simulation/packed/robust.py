"""Means that a few wild updates cannot carry away, and what of an update is sent.

    Differentially Private Learning with Adaptive Clipping, Andrew et al., NeurIPS 2021, without its noise, and with the
    zeroing that `tff.learning.robust_aggregator` puts before it:

    each device k has d_k, start minus end of its weights, and p_k = max |d_k|
    d_k <- 0                           where p_k > factor * P + floor          nobody's update may be that wild
    d_k <- d_k min(1, C / |d_k|)                                               nor that long
    g <- sum_k n_k d_k / sum_k n_k                                             whoever sent zeros counts
    P <- P exp(-ln 10 (share of p_k <= P - kept share))                        P and C follow what devices send
    C <- C exp(-rate (share of |d_k| <= C - unclipped share))

Everything is done to each person before the sum over the pack, so that packs give what people one by one would. Only
how many were above the bounds leaves the pack beside the sums. What is sent is the encoding's
(`encodings`): numbers as they are, fewer bits of them, or integers for a secure sum.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, Protocol

import tensorflow as tf

from federated.simulation.packed.encodings import Dithered, Integers, Plain
from federated.simulation.packed.training import LocalTraining, Tensors, align, clip_to, per_user
from recsys.config.federated import AggregationSettings, FederatedSettings

PEAK_LEARNING_RATE: Final = math.log(10.0)
"""How fast the bound on single numbers follows; TFF's."""

Bounds = OrderedDict[str, tf.Tensor]


class Encoding(Protocol):
    """What devices make of their updates before these are added."""

    def add_up(self, update: Tensors, weight: tf.Tensor, clip_norm: tf.Tensor, round_number: tf.Tensor) -> Tensors:
        """Returns the weighted sum of what each person sends, `[…]` each.

        Args:
          update: `[num_users, …]` float32 each, none longer than the bound.
          weight: `[num_users]` float32, whole numbers.
          clip_norm: The bound, a float32 scalar.
          round_number: An int32 scalar.
        """
        ...

    def decode(self, total: Tensors, clip_norm: tf.Tensor) -> Tensors:
        """Returns the sum over all packs as float32."""
        ...


@dataclass(frozen=True)
class Robust:
    """Zeroing, clipping, and an encoding (a `Treatment`)."""

    settings: AggregationSettings
    encoding: Encoding

    def start_bounds(self) -> Bounds:
        """Returns C and P of the first round, and its number."""
        return OrderedDict(
            clip_norm=tf.constant(self.settings.first_clip_norm),
            peak=tf.constant(self.settings.first_peak),
            round_number=tf.constant(0),
        )

    def upload(
        self, training: LocalTraining, weights: Tensors, bounds: Bounds, first_row: tf.Tensor, count: tf.Tensor
    ) -> OrderedDict[str, Any]:
        """Returns the sums of a pack (`Treatment`)."""
        own = training.train_each(weights, first_row, count)
        peak = tf.reduce_max([per_user(tf.reduce_max, tf.abs(part)) for part in own.update], axis=0)
        is_wild = peak > self.settings.zero_factor * bounds["peak"] + self.settings.zero_floor
        tame = [tf.where(align(is_wild, part), 0.0, part) for part in own.update]
        scale, is_long = clip_to(tame, bounds["clip_norm"])
        short = [part * align(scale, part) for part in tame]
        return OrderedDict(
            update=self.encoding.add_up(short, own.weight, bounds["clip_norm"], bounds["round_number"]),
            weight=_count(own.weight),
            loss=tf.reduce_sum(own.loss),
            num_examples=_count(own.num_examples),
            num_users=tf.shape(count)[0],
            num_clipped=_count(is_long),
            num_above_peak=_count(peak > bounds["peak"]),
            num_zeroed=_count(is_wild),
        )

    def merge(self, bounds: Bounds, sums: OrderedDict[str, Any]) -> tuple[Tensors, Bounds]:
        """Returns g, and the next C and P (`Treatment`)."""
        settings, weight = self.settings, tf.cast(sums["weight"], tf.float32)
        total = self.encoding.decode(list(sums["update"]), bounds["clip_norm"])
        mean = [tf.math.divide_no_nan(part, weight) for part in total]
        clip_norm = _follow(
            bounds["clip_norm"],
            sums["num_clipped"],
            sums["num_users"],
            settings.unclipped_share,
            settings.clip_learning_rate,
        )
        peak = _follow(
            bounds["peak"], sums["num_above_peak"], sums["num_users"], settings.kept_share, PEAK_LEARNING_RATE
        )
        return mean, OrderedDict(clip_norm=clip_norm, peak=peak, round_number=bounds["round_number"] + 1)


def build_treatment(settings: FederatedSettings, seed: int) -> Robust | None:
    """Returns what `aggregation.kind` names; None for the mean of updates as they are.

    Args:
      settings: Of the aggregation, and of those who may take part.
      seed: Of the dither.

    Raises:
      ConfigError: If the integers of a secure sum might overflow.
    """
    aggregation = settings.aggregation
    match aggregation.kind:
        case "mean":
            return None
        case "robust":
            return Robust(aggregation, Plain())
        case "compressed":
            return Robust(aggregation, Dithered(aggregation.compressed_bits, seed))
        case "secure":
            return Robust(aggregation, Integers.build(settings))


def _count(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(values, tf.int32))


def _follow(bound: tf.Tensor, num_above: tf.Tensor, num_users: tf.Tensor, share: float, rate: float) -> tf.Tensor:
    """Moves a bound so that a share of people lie at it or below; nowhere where there is nobody."""
    below = 1.0 - tf.cast(num_above, tf.float32) / tf.cast(tf.maximum(num_users, 1), tf.float32)
    return tf.where(num_users > 0, bound * tf.exp(-rate * (below - share)), bound)
