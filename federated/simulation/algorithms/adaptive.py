"""Adaptive Federated Optimization, Reddi et al., ICLR 2021: FedAdagrad, FedAdam, FedYogi.

    the server sends w; each device k runs gradient descent over its examples: w_k
    g <- sum_k n_k / n (w - w_k)                                       the pseudo-gradient
    m <- momentum * m + (1 - momentum) * g                             (FedAdagrad: g)
    v <- v + g^2                                                       FedAdagrad
         decay * v + (1 - decay) * g^2                                 FedAdam
         v - (1 - decay) * g^2 * sign(v - g^2)                         FedYogi
    w <- w - rate * m / (sqrt(v) + floor)

Deviations, all of TFF's optimizers, which take the server's step: Adam and Yogi correct the bias of the first rounds;
Adam's v begins at 0 in place of floor^2; Adagrad divides by sqrt(v) alone, v beginning at floor^2. And those of
`fed_avg`.
"""

from __future__ import annotations

from typing import Final

import tensorflow_federated as tff

from federated.simulation.packed.parts import Composer, compose
from federated.simulation.packed.training import LocalTraining
from recsys.config.federated import RoundSettings

_NOTHING: Final = 1e-30
"""In place of the constant that TFF would add to v a second time; it may not be 0."""


def build_fed_adagrad(
    training: LocalTraining, settings: RoundSettings, compose: Composer = compose
) -> tff.learning.templates.LearningProcess:
    """Returns FedAdagrad; arguments as of `fed_avg`."""
    return compose(training, adagrad(settings))


def build_fed_adam(
    training: LocalTraining, settings: RoundSettings, compose: Composer = compose
) -> tff.learning.templates.LearningProcess:
    """Returns FedAdam; arguments as of `fed_avg`."""
    return compose(training, adam(settings))


def build_fed_yogi(
    training: LocalTraining, settings: RoundSettings, compose: Composer = compose
) -> tff.learning.templates.LearningProcess:
    """Returns FedYogi; arguments as of `fed_avg`."""
    return compose(training, yogi(settings))


def adagrad(settings: RoundSettings) -> tff.learning.optimizers.Optimizer:
    """Returns the server's optimizer of FedAdagrad."""
    return tff.learning.optimizers.build_adagrad(
        settings.adaptive_learning_rate,
        initial_preconditioner_value=settings.adaptive_floor**2,
        epsilon=_NOTHING,
    )


def adam(settings: RoundSettings) -> tff.learning.optimizers.Optimizer:
    """Returns the server's optimizer of FedAdam."""
    return tff.learning.optimizers.build_adam(
        settings.adaptive_learning_rate,
        beta_1=settings.adaptive_momentum,
        beta_2=settings.adaptive_decay,
        epsilon=settings.adaptive_floor,
    )


def yogi(settings: RoundSettings) -> tff.learning.optimizers.Optimizer:
    """Returns the server's optimizer of FedYogi."""
    return tff.learning.optimizers.build_yogi(
        settings.adaptive_learning_rate,
        beta_1=settings.adaptive_momentum,
        beta_2=settings.adaptive_decay,
        epsilon=settings.adaptive_floor,
        initial_preconditioner_value=settings.adaptive_floor**2,
    )
