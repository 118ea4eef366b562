"""Rounds under user-level differential privacy: a bounded contribution of each person, and noise on their sum.

    Learning Differentially Private Recurrent Language Models, McMahan et al., ICLR 2018;
    Differentially Private Learning with Adaptive Clipping, Andrew et al., NeurIPS 2021:

    each device k of the cohort sends d_k, start minus end of its weights, shortened to the bound C, and b_k, whether it
    was that short before
    g <- (sum_k d_k + N(0, (z_d C)^2)) / m                           m: how many devices a round draws on average
    b <- (sum_k (b_k - 1/2) + N(0, s^2)) / m + 1/2
    C <- C exp(-rate (b - share))
    1 / z_d^2 = 1 / z^2 - 1 / (2 s)^2                                so that both together are one step with noise z

The server takes its step along g. Deviations: s is the paper's m / 20 or z, whichever is more, so that small cohorts do
not need boundless noise on the updates; people who have no example send nothing. What is sent is a sum over a pack, as
in every packed round: that people of a pack meet there is of the simulation, not of the mechanism.

The noise comes from the seed of the run, so that a killed run ends with the same tower. Whoever knows the seed can take
the noise away: real rounds draw it from a source that nobody can repeat.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import tensorflow as tf

from federated.simulation.packed.training import LocalTraining, Tensors
from federated.simulation.privacy import Guarantee
from recsys.config.federated import PrivacySettings

_SHARE_OF_COUNT: Final = 0.05
_NUM_SEEDS: Final = 2**31


@dataclass(frozen=True)
class Mechanism:
    """How a round is kept private.

    Attributes:
      noise_multiplier: z, the standard deviation of the noise in units of what one person can change; 0 adds none.
      mean_cohort: m, how many devices a round draws on average.
      first_clip_norm: C of the first round.
      unclipped_share: Share of the updates that are to be no longer than C.
      clip_learning_rate: How fast C follows.
      seed: Of the noise.
    """

    noise_multiplier: float
    mean_cohort: float
    first_clip_norm: float
    unclipped_share: float
    clip_learning_rate: float
    seed: int

    @property
    def count_deviation(self) -> float:
        """s: of the noise on how many updates were short enough."""
        return max(_SHARE_OF_COUNT * self.mean_cohort, self.noise_multiplier) if self.noise_multiplier else 0.0

    @property
    def update_noise_multiplier(self) -> float:
        """z_d: of the noise on the updates, in units of C."""
        if not self.noise_multiplier:
            return 0.0
        return 1.0 / math.sqrt(self.noise_multiplier**-2 - (2 * self.count_deviation) ** -2)

    def start_bounds(self) -> OrderedDict[str, tf.Tensor]:
        """Returns C of the first round, and that it is the first."""
        return OrderedDict(clip_norm=tf.constant(self.first_clip_norm), round_number=tf.constant(0))

    def upload(
        self,
        training: LocalTraining,
        weights: Tensors,
        bounds: OrderedDict[str, tf.Tensor],
        first_row: tf.Tensor,
        count: tf.Tensor,
    ) -> OrderedDict[str, Any]:
        """Returns the sums of a pack: everybody counts once, and is shortened to C (`Treatment`)."""
        result = training.train_alike(weights, first_row, count, bounds["clip_norm"])
        return OrderedDict(result._asdict())

    def merge(
        self, bounds: OrderedDict[str, tf.Tensor], sums: OrderedDict[str, Any]
    ) -> tuple[Tensors, OrderedDict[str, tf.Tensor]]:
        """Returns g and the next C (`Treatment`)."""
        number = bounds["round_number"]
        mean, clip_norm = self.privatise(
            bounds["clip_norm"], number, list(sums["update"]), sums["weight"], sums["num_clipped"]
        )
        return mean, OrderedDict(clip_norm=clip_norm, round_number=number + 1)

    def privatise(
        self,
        clip_norm: tf.Tensor,
        round_number: tf.Tensor,
        update: Tensors,
        num_sent: tf.Tensor,
        num_clipped: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Returns g and the next C.

        Args:
          clip_norm: C, a float32 scalar.
          round_number: An int32 scalar; each round has noise of its own.
          update: The sum of shortened updates, `[…]` float32 each.
          num_sent: How many devices sent one, a float32 scalar.
          num_clipped: How many of these were longer than C, a float32 scalar.
        """
        sizes = [math.prod(part.shape) for part in update]
        seed = tf.stack([tf.constant(self.seed, tf.int32), round_number])
        noise = tf.random.stateless_normal([sum(sizes) + 1], seed)
        noises = tf.split(noise, [*sizes, 1])
        deviation = self.update_noise_multiplier * clip_norm
        mean = [
            (part + deviation * tf.reshape(own, part.shape)) / self.mean_cohort
            for part, own in zip(update, noises[:-1], strict=True)
        ]
        centred = num_sent / 2 - num_clipped + self.count_deviation * noises[-1][0]
        unclipped = centred / self.mean_cohort + 0.5
        return mean, clip_norm * tf.exp(-self.clip_learning_rate * (unclipped - self.unclipped_share))


def build_mechanism(guarantee: Guarantee, settings: PrivacySettings, seed: int) -> Mechanism:
    """Returns the mechanism that keeps a guarantee.

    Args:
      guarantee: With its noise.
      settings: Of the bound.
      seed: Of the noise.
    """
    return Mechanism(
        noise_multiplier=guarantee.noise_multiplier,
        mean_cohort=guarantee.mean_cohort,
        first_clip_norm=settings.first_clip_norm,
        unclipped_share=settings.unclipped_share,
        clip_learning_rate=settings.clip_learning_rate,
        seed=seed % _NUM_SEEDS,
    )
